"""`run.sh`: the command line that was measured, as a script for this machine."""

import shlex
from collections.abc import Sequence

from lading.engines.base import Command
from lading.manifests.target import PORT, Target, command_of, container_program, environment
from lading.manifests.yaml import comment

_PORT = "{port}"
"""How a recorded command line writes a port that is chosen at start."""


def run_sh(target: Target) -> str:
    """A POSIX shell script that replaces itself by the server.

    It runs the very command that was measured where one was recorded, else the engine's program from the path; the
    port alone can be changed, by ``PORT``.

    Raises:
        InvalidParameters: The engine refuses its parameters.
    """
    argv, command = _measured(target) if target.argv else _from_path(target)
    movable = any(_PORT in word for word in argv)
    what = "; PORT=… changes its port" if movable else ""
    head = comment([*target.origin, "", f"Runs the server of that trial on this machine{what}. Ctrl-C stops it."])
    port = f"PORT=${{PORT:-{PORT}}}\n" if movable else ""
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment(target, command).items())
    needed = "".join(f': "${{{name}:?export it first}}"\n' for name in target.passed_env)
    words = " \\\n  ".join(_lines(argv))
    return f"#!/bin/sh\n{head}set -eu\n{needed}{port}{exports}exec {words}\n"


def _measured(target: Target) -> tuple[tuple[str, ...], Command]:
    return target.argv, Command(argv=())


def _from_path(target: Target) -> tuple[tuple[str, ...], Command]:
    """The engine's program as it is called where it is on the path; its port is the word after ``--port``."""
    program = container_program(target.engine)
    command = command_of(target, target.model.on_host, host="127.0.0.1", program=program)
    before = ("", *command.argv)
    words = [_PORT if flag == "--port" else word for flag, word in zip(before, command.argv, strict=False)]
    return (*program.split(), *words), command


def _lines(argv: Sequence[str]) -> list[str]:
    """*argv* quoted, each flag with its values on one line."""
    lines: list[str] = []
    for word in argv:
        if lines and not word.startswith("-"):
            lines[-1] += f" {_word(word)}"
        else:
            lines.append(_word(word))
    return lines


def _word(word: str) -> str:
    """*word* quoted, its port the variable, also inside a JSON document."""
    before, found, after = word.partition(_PORT)
    if not found:
        return shlex.quote(word)
    return f'{shlex.quote(before) if before else ""}"$PORT"{shlex.quote(after) if after else ""}'
