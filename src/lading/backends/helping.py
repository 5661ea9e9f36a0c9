"""A program of this machine is asked for its version and its flags: short runs that are ended, whatever it does."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from lading.backends.programs import Program
from lading.engines.help import LONGEST_CHARACTERS

#: Python packages whose version is the program's, by the program.
PACKAGES: Mapping[str, str] = {"vllm serve": "vllm", "python3 -m sglang.launch_server": "sglang"}
#: One line per option, without colours: what a terminal would be given is not what is read.
_PLAIN: Mapping[str, str] = {"COLUMNS": "2000", "NO_COLOR": "1", "PYTHON_COLORS": "0", "TERM": "dumb"}
_CHUNK_BYTES = 64 * 1024
_VERSION_S = 30.0


async def version(program: Program, python: str) -> str | None:
    """The version of the package that *program* is of; None where it is of none, or of another environment than *python*'s.

    Args:
        program: As `programs.find` found it.
        python: The interpreter it was looked for with.
    """
    package = PACKAGES.get(program.name)
    if package is None or Path(program.prefix[0]).parent != Path(python).parent:
        return None
    look = f"import importlib.metadata as m; print(m.version({package!r}))"
    said = await run((python, "-c", look), os.environ, within_s=_VERSION_S)
    return said.strip().partition("\n")[0] if said is not None and said.strip() else None


async def text(prefix: Sequence[str], asks: Sequence[str], env: Mapping[str, str], *, within_s: float) -> str:
    """What the program that *prefix* calls answers to the first of *asks* that it takes; empty where it takes none.

    Args:
        prefix: The program with its subcommand.
        asks: Such as ``--help=all``, ``--help``.
        env: The whole environment.
        within_s: For all of them.
    """
    until = asyncio.get_running_loop().time() + within_s
    for word in asks:
        left_s = until - asyncio.get_running_loop().time()
        said = await run((*prefix, word), env, within_s=left_s) if left_s > 0 else None
        if said:
            return said
    return ""


async def run(argv: Sequence[str], env: Mapping[str, str], *, within_s: float) -> str | None:
    """What *argv* writes to its output, cut at the length that is read; None where it fails, or does not end in time.

    It runs in a session of its own without input, and everything of that session is ended when this returns.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={**env, **_PLAIN}, start_new_session=True,
        )  # fmt: skip
    except OSError:
        return None
    try:
        async with asyncio.timeout(within_s):
            said, whole = await _output(process)
            returncode = await process.wait() if whole else 0
    except TimeoutError:
        return None
    finally:
        await _end(process)
    return said if returncode == 0 else None


async def _output(process: asyncio.subprocess.Process) -> tuple[str, bool]:
    """What it writes, and whether that is all: what is more than is ever read is not waited for."""
    assert process.stdout is not None
    read = bytearray()
    while len(read) < LONGEST_CHARACTERS:
        some = await process.stdout.read(_CHUNK_BYTES)
        if not some:
            return read.decode("utf-8", "replace"), True
        read += some
    return read[:LONGEST_CHARACTERS].decode("utf-8", "replace"), False


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill its whole session: a child may hold the output open, or go on by itself."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.shield(process.wait())
