"""The commands of a console block: what tests run, and what a copy button copies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_HERE_DOCUMENT = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")


class Command(NamedTuple):
    """`line` counts from 0 within the block; `output` is "" where the block shows none."""

    line: int
    text: str
    output: str


def commands(text: str) -> Iterator[Command]:
    r"""Yield the commands of a console block with the output that it shows.

    A block marks commands by `$ `; one without any is all commands, one a line. A command continues after a
    `\` at the end of a line, and through a here-document. Raises ValueError where none of that holds.
    """
    lines = text.splitlines()
    if not any(line.startswith("$ ") for line in lines):
        lines = [f"$ {line}" if line else line for line in lines]
    command, start, number = "", 0, 0
    output: list[str] = []
    while number < len(lines):
        line = lines[number]
        if line.startswith("$ "):
            if command:
                yield Command(start, command, "\n".join(output))
            command, output, start = line[2:], [], number
            until = _HERE_DOCUMENT.search(command)
            while command.endswith("\\") or (until and command.splitlines()[-1].strip() != until[1]):
                number += 1
                if number == len(lines):
                    raise ValueError(f"line {start + 1}: the command does not end")
                command += "\n" + lines[number].removeprefix("> ")
        elif command:
            output.append(line)
        elif line:
            raise ValueError(f"line {number + 1}: output before the first command")
        number += 1
    if command:
        yield Command(start, command, "\n".join(output).strip("\n"))
