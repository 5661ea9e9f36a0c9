"""`run.sh`: the command line that was measured, as a script for this machine."""

import shlex
from collections.abc import Sequence

from lading.engines.base import Launch
from lading.manifests.target import PORT, Target, container_program, measured_env
from lading.manifests.yaml import comment

#: How a program is called on a machine that has it on its path.
_ON_PATH = {"llama-server": ("llama-server",), "vllm": ("vllm", "serve")}


_PORT = "{port}"
"""How a recorded command line writes a port that is chosen at start."""


def run_sh(target: Target) -> str:
    """A POSIX shell script that replaces itself by the server.

    It runs the very command that was measured where one was recorded, else the engine's program from the path; the
    port alone can be changed, by ``PORT``.

    Raises:
        InvalidParameters: The engine refuses its parameters.
    """
    argv, env = _measured(target) if target.argv else _from_path(target)
    movable = any(_PORT in word for word in argv)
    what = "; PORT=… changes its port" if movable else ""
    head = comment([*target.origin, "", f"Runs the server of that trial on this machine{what}. Ctrl-C stops it."])
    port = f"PORT=${{PORT:-{PORT}}}\n" if movable else ""
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(env.items()))
    words = " \\\n  ".join(_lines(argv))
    return f"#!/bin/sh\n{head}set -eu\n{port}{exports}exec {words}\n"


def _measured(target: Target) -> tuple[tuple[str, ...], dict[str, str]]:
    return target.argv, {**measured_env(target), **target.env}


def _from_path(target: Target) -> tuple[tuple[str, ...], dict[str, str]]:
    program = container_program(target.engine)
    marker = 1  # replaced by the variable below: an engine takes a number
    launch = Launch(
        model=target.model.on_host, served_name=target.served_name, host="127.0.0.1", port=marker,
        params=target.params, program=program,
    )  # fmt: skip
    command = target.engine.command(launch)
    words = [_PORT if word == str(marker) and before == "--port" else word for before, word in _pairs(command.argv)]
    return (*_ON_PATH.get(program, (program,)), *words), {**command.env, **target.env}


def _pairs(words: tuple[str, ...]) -> list[tuple[str, str]]:
    return list(zip(("", *words), words, strict=False))


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
