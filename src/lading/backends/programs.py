"""Where an engine's program is on this machine, and what stands before its arguments."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lading.engines.base import Engine
from lading.errors import MissingProgram

#: How a program is got, for the hint of its absence.
INSTALL: Mapping[str, str] = {
    "llama.cpp": 'pip install "lading[demo]"',
    "sglang": "pip install sglang",
    "vllm": "pip install vllm",
}
#: How a program that is a Python module is called; it is run by the interpreter of its environment.
_AS_MODULE = "python3 -m "
#: Programs that can also be run as a Python module.
MODULES: Mapping[str, str] = {"vllm": "vllm.entrypoints.cli.main"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that was found.

    Attributes:
        prefix: What stands before the engine's own arguments.
    """

    name: str
    prefix: tuple[str, ...]


def find(engine: Engine, python: str | None) -> Program:
    """The first of the engine's programs that is here: in the environment of *python* (a path), else in ours, on the PATH.

    Raises:
        MissingProgram: None is; the message says what was looked for, and where.
    """
    where = interpreter(python)
    for name in engine.programs:
        found = _here(name, where)
        if found is not None:
            return found
    raise MissingProgram(
        f"no program of {engine.name} was found: looked for {' and '.join(map(repr, engine.programs))} with {where} and on the PATH",
        hint=INSTALL.get(engine.name, f"install one of: {', '.join(engine.programs)}"),
    )


def interpreter(python: str | None) -> str:
    """The interpreter that *python* (a path or a name) is, or ours where none is given.

    Raises:
        MissingProgram: It cannot be run.
    """
    return _interpreter(python) if python else sys.executable


def _interpreter(python: str) -> str:
    place = str(Path(python).expanduser().absolute()) if os.sep in python else python
    found = shutil.which(place)
    if found is None:
        raise MissingProgram(
            f"{python} is not a Python interpreter that can be run",
            hint="give the path of the environment's `bin/python`",
        )
    return str(Path(found).absolute())  # not resolved: the link says which environment it is


def _here(name: str, where: str) -> Program | None:
    if name == "xllamacpp":
        return _xllamacpp(where)
    if name.startswith(_AS_MODULE):
        return _module(name, where)
    return _executable(name, where)


def _module(program: str, interpreter: str) -> Program | None:
    """``python3 -m package.module``, where *interpreter* has that package."""
    module = program.removeprefix(_AS_MODULE)
    if not _has_module(interpreter, module.partition(".")[0]):
        return None
    return Program(name=program, prefix=(interpreter, "-m", module))


def _xllamacpp(interpreter: str) -> Program | None:
    if not _has_module(interpreter, "xllamacpp"):
        return None
    launcher = Path(__file__).with_name("xllamacpp_server.py")
    return Program(name="xllamacpp", prefix=(interpreter, str(launcher)))


def _executable(program: str, interpreter: str) -> Program | None:
    """*program*, which may have a subcommand (``vllm serve``): beside *interpreter*, on the PATH, or as a module."""
    name, *subcommand = program.split(" ")
    beside = Path(interpreter).parent / name  # an absolute name stays as it is
    found = shutil.which(str(beside)) or shutil.which(name)
    if found is not None:
        return Program(name=program, prefix=(found, *subcommand))
    module = MODULES.get(name)
    if module is not None and _has_module(interpreter, module.partition(".")[0]):
        return Program(name=program, prefix=(interpreter, "-m", module, *subcommand))
    return None


@lru_cache(maxsize=64)
def _has_module(interpreter: str, module: str) -> bool:
    if interpreter == sys.executable:
        return importlib.util.find_spec(module) is not None
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([interpreter, "-c", look], capture_output=True, check=False, timeout=60).returncode == 0
