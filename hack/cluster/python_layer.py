"""The files of this machine's Python that one program needs, for images that are made without a base.

A process imports the program and tells what it has loaded; that, the interpreter and their shared libraries
come to 25 MB. Paths in the image are those of this machine, so that everything finds itself.
"""

from __future__ import annotations

import importlib.util
import json
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from hack.cluster.errors import ClusterError

INTERPRETER = str(Path(sys.executable).resolve())
"""Where it is, here and in the image."""
# By `-m`, and when a name is looked up.
LATE = ("runpy", "encodings.idna", "encodings.latin_1", "encodings.ascii")
# Of a cached bytecode file: after the magic number comes how it is kept valid, then what by, in 8 bytes.
_MAGIC_BYTES, _HEADER_BYTES = 4, 16
_UNCHECKED = (1).to_bytes(4, "little") + bytes(8)
_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")
_TELL = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
print(json.dumps(sorted({name for name in files if name})))
"""


def python_files(package: Path) -> dict[str, tuple[bytes, int]]:
    """Contents and modes by path in the image, for all modules of a package; not the package's own files."""
    with tempfile.TemporaryDirectory() as directory:
        # Away from its neighbours, which may have names of the standard library's.
        shutil.copytree(package, Path(directory, package.name))
        modules = [f"{package.name}.{path.stem}" for path in package.glob("*.py") if path.stem != "__init__"]
        loaded = [path for path in _loaded(modules, directory) if Path(directory) not in path.parents]
    binaries = [Path(INTERPRETER), *(path for path in loaded if path.suffix == ".so")]
    found: dict[str, tuple[bytes, int]] = {}
    for path in {*binaries, *_libraries(binaries)}:
        found[_inside(path)] = (path.read_bytes(), 0o755)
    sources = [path for path in loaded if path.suffix == ".py"]
    # The landmark by which an interpreter knows its home; already loaded ones are frozen, and have no file.
    home = Path(os.__file__).parent
    frozen = [home / name for name in ("os.py", "codecs.py", "io.py", "abc.py", "site.py", "stat.py")]
    for path in {*sources, *(path for path in frozen if path.exists())}:
        found |= source_files(_inside(path), path)
    return found


def source_files(inside: str, path: Path) -> dict[str, tuple[bytes, int]]:
    """A module's source and its bytecode, which is taken as it is: the image's files have no times."""
    directory, _, name = inside.rpartition("/")
    cached = f"{directory}/__pycache__/{Path(name).stem}.{sys.implementation.cache_tag}.pyc"
    return {inside: (path.read_bytes(), 0o644), cached: (_bytecode(path), 0o644)}


def _bytecode(path: Path) -> bytes:
    cached = Path(importlib.util.cache_from_source(str(path)))
    if not cached.exists():
        with tempfile.TemporaryDirectory() as directory:
            made = Path(directory, "module.pyc")
            py_compile.compile(str(path), str(made), doraise=True)
            compiled = made.read_bytes()
    else:
        compiled = cached.read_bytes()
    return compiled[:_MAGIC_BYTES] + _UNCHECKED + compiled[_HEADER_BYTES:]


def _loaded(modules: Iterable[str], search: str) -> list[Path]:
    done = subprocess.run(
        [INTERPRETER, "-S", "-c", _TELL, *modules, *LATE],
        env={"PYTHONPATH": search, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ClusterError(f"the stand-in image's program can't be imported: {done.stderr[-500:]}")
    return [Path(name) for name in json.loads(done.stdout)]


def _libraries(binaries: Iterable[Path]) -> Iterator[Path]:
    """What the dynamic linker loads for them, itself included."""
    for binary in binaries:
        told = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False).stdout
        yield from (Path(found) for found in _LIBRARY.findall(told))


def _inside(path: Path) -> str:
    return str(path).lstrip("/")
