"""The command line: `python -m hack.cluster up|down|status|build|env`. Parses, calls, prints."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from hack.cluster import operator_image, processes
from hack.cluster.build import directory_of
from hack.cluster.build_all import ensure_all
from hack.cluster.cache import default_instance_dir
from hack.cluster.cluster import PARTS, Cluster, check_parts
from hack.cluster.components import BY_PART, TOOLS
from hack.cluster.control_plane import PART as CONTROL_PLANE_PART
from hack.cluster.errors import CANNOT, ClusterError, Missing
from hack.cluster.instance import Instance
from hack.cluster.progress import Progress
from hack.cluster.requirements import missing_parts
from hack.cluster.shell import exports
from hack.cluster.stop import stop_instance

OPTIONAL_PARTS = PARTS[1:]


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand: 0 done, 1 failed, 2 wrong usage or a part missing, 130 Ctrl-C."""
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except ClusterError as error:
        print(f"\nerror: {error.reason}", file=sys.stderr)
        if error.remedy:
            print(f"\n{error.remedy}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ninterrupted: {arguments.interrupted}", file=sys.stderr)
        return 130
    return code


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python3 -m hack.cluster",
        description="A real Kubernetes cluster on this machine, for tests and demos.",
    )
    commands = made.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start a cluster, or add parts to a running one")
    up.add_argument(
        "--parts", type=_parts, default=(), help=f"besides the control plane: {','.join(OPTIONAL_PARTS)}"
    )
    up.add_argument("--audit", action="store_true", help="log every request to DIR/audit.log")
    up.set_defaults(run=_up)
    down = commands.add_parser("down", help="stop a cluster and remove its directory")
    down.add_argument("--keep-logs", action="store_true", help="leave DIR/logs and DIR/audit.log")
    down.set_defaults(run=_down)
    status = commands.add_parser("status", help="what runs and where")
    status.add_argument("--json", action="store_true", help="for scripts")
    status.set_defaults(run=_status)
    env = commands.add_parser("env", help="shell lines: KUBECONFIG, GATEWAY_URL, kubectl and aimctl on PATH")
    env.set_defaults(run=_env)
    for command in (up, down, status, env):
        command.add_argument("--dir", type=Path, default=default_instance_dir(), help="default: %(default)s")
        command.set_defaults(interrupted="what had been started is stopped again")
    build = commands.add_parser("build", help="build what the parts need, without starting anything")
    everything = (*OPTIONAL_PARTS, *TOOLS)
    build.add_argument(
        "--parts", type=_buildable, default=everything, help=f"default: {','.join(everything)}"
    )
    build.set_defaults(run=_build, interrupted="what is built is kept, and the next build goes on from there")
    return made


def _parts(text: str, tools: tuple[str, ...] = ()) -> tuple[str, ...]:
    parts = tuple(part for part in text.split(",") if part)
    try:
        check_parts([part for part in parts if part not in tools])
    except ClusterError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return parts


def _buildable(text: str) -> tuple[str, ...]:
    return _parts(text, TOOLS)


def _up(arguments: argparse.Namespace) -> int:
    progress = Progress(sys.stdout)
    missing = missing_parts((CONTROL_PLANE_PART, *arguments.parts), install=True, progress=progress)
    cannot = {entry.part for entry in missing}
    if CONTROL_PLANE_PART in cannot:
        _print_missing(missing)
        return CANNOT
    parts = [part for part in arguments.parts if part not in cannot]
    cluster = Cluster.start(parts, arguments.dir, audit=arguments.audit, owner=None, progress=progress)
    print(f"\nkubeconfig: {cluster.kubeconfig}")
    if cluster.gateway_url:
        print(f"gateway: {cluster.gateway_url}  (Gateway gateways/inference-gateway)")
    print(f'use it: eval "$({_command("env", arguments.dir)})"')
    print(f"stop it: {_command('down', arguments.dir)}")
    _print_missing(missing)
    return CANNOT if missing else 0


def _down(arguments: argparse.Namespace) -> int:
    if not stop_instance(arguments.dir, Progress(sys.stdout), keep_logs=arguments.keep_logs):
        print(f"no cluster in {arguments.dir}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    instance = Instance.load(arguments.dir)
    if instance is None:
        print(f"no cluster in {arguments.dir}; start one: {_command('up', arguments.dir)}")
        return 1
    running = processes.recorded(instance.directory)
    if arguments.json:
        state = json.loads((instance.directory / "state.json").read_text())
        state["pids"] = {name: process.pid for name, process in running.items() if process.alive}
        print(json.dumps(state, indent=2))
        return 0
    print(
        f"directory   {instance.directory}\nkubeconfig  {instance.kubeconfig}\nserver      {instance.server}"
    )
    print(f"parts       {', '.join(instance.parts) or 'none yet'}")
    for label, value in (("node ip", instance.node_ip), ("gateway", instance.gateway_url)):
        if value:
            print(f"{label:<11} {value}")
    for name, process in running.items():
        print(f"  {name:<24} {'pid ' + str(process.pid) if process.alive else 'not running'}")
    return 0 if all(process.alive for process in running.values()) else 1


def _env(arguments: argparse.Namespace) -> int:
    print("\n".join(exports(Cluster.attach(arguments.dir))))
    return 0


def _build(arguments: argparse.Namespace) -> int:
    progress = Progress(sys.stdout)
    components = [each for part in (CONTROL_PLANE_PART, *arguments.parts) for each in BY_PART[part]]
    ensure_all(components, progress)
    for component in components:
        progress.line(component.name, str(directory_of(component)))
    if operator_image.PART not in arguments.parts:
        return 0
    missing = missing_parts([operator_image.PART], install=True, progress=progress)
    _print_missing(missing, "BUILT")
    if not missing:
        progress.line(operator_image.PART, str(operator_image.ensure_archive(progress)))
    return CANNOT if missing else 0


def _print_missing(missing: list[Missing], what: str = "STARTED") -> None:
    for entry in missing:
        print(
            f"\nNOT {what}: {entry.part}\n  because {entry.reason}\n  remedy: {entry.remedy}",
            file=sys.stderr,
        )


def _command(name: str, directory: Path) -> str:
    option = "" if directory == default_instance_dir() else f" --dir {directory}"
    return f"python3 -m hack.cluster {name}{option}"


def _take_signals() -> None:
    """End by SIGTERM as by Ctrl-C, cleaning up; and by SIGINT also where a script's `&` had it ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


if __name__ == "__main__":
    _take_signals()
    sys.exit(main())
