"""Runs aimctl from the folder beside this file, as `kubectl aim`. Called by the script of that name."""

import os
import sys

_HERE = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120 - pathlib would be 10 ms of every call

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(_HERE, "lib"))  # noqa: PTH118
    sys.argv[0] = "kubectl-aim"
    try:
        import msgspec  # noqa: F401 - the first that is compiled for a platform

        from aim_operator.cli import main
    except ImportError as error:
        print(f"error: {sys.executable} can't load what kubectl aim brings: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(main())
