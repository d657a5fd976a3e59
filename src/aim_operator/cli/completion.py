"""`aimctl completion`: the script by which a shell completes commands and flags."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from aim_operator.cli import program

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_AIMCTL_COMPLETE"
"""By it the script asks the program; typer derives the name from the program's."""


def completion(
    shell: Annotated[str, typer.Argument(metavar="|".join(SHELLS), help="The shell to complete in.")],
) -> None:
    """Print the completion script of a shell.

    \b
    source <(aimctl completion bash)                                 # this shell
    aimctl completion bash > ~/.local/share/bash-completion/completions/aimctl
    aimctl completion zsh > "${fpath[1]}/_aimctl"
    aimctl completion fish > ~/.config/fish/completions/aimctl.fish
    """
    from typer._completion_shared import get_completion_script  # noqa: PLC0415

    from aim_operator.cli import flags  # noqa: PLC0415

    flags.one_of("SHELL", shell, SHELLS)
    script = get_completion_script(prog_name=program.AIMCTL, complete_var=VARIABLE, shell=shell)
    sys.stdout.write(f"{script}\n")
