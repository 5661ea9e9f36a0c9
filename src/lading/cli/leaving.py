"""Ctrl-C while something of ours runs elsewhere: it asks whether to leave that running or to stop it.

SIGTERM, and Ctrl-C where nobody can be asked, leave it running: a closed laptop or a cancelled pipeline step must not
end a pull that another command can follow. A second Ctrl-C leaves it running at once.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal, TypeVar

from lading.errors import Cancelled, StillRunning

T = TypeVar("T")
Answer = Literal["leave", "stop", "go on"]


async def leavable(
    work: Coroutine[Any, Any, T],
    *,
    name: str,
    follow: str,
    stop: Callable[[], Awaitable[None]],
    quiet: Callable[[bool], None],
    ask: bool,
) -> T:
    """What *work* gives, which only watches what runs elsewhere.

    Args:
        work: What to await.
        name: What runs.
        follow: The command that follows it again.
        stop: Ends what runs.
        quiet: Called with True while the question stands on the terminal, then with False.
        ask: A person can be asked.

    Raises:
        StillRunning: It was left running.
        Cancelled: It was stopped.
    """
    loop = asyncio.get_running_loop()
    struck: asyncio.Queue[int] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, struck.put_nowait, number)
    task = asyncio.ensure_future(work)
    try:
        while True:
            sent = await _first(struck.get(), task)
            if sent is None:
                return await task
            answer: Answer = "leave"
            if ask and sent == signal.SIGINT:
                quiet(True)
                answer = await _asked(name, struck, task)
                quiet(False)
            if answer == "leave":
                raise StillRunning(f"{name} goes on in the cluster", hint=follow)
            if answer == "stop":
                await _stopped(name, follow, stop, struck, task)
            print("watching it again …", file=sys.stderr, flush=True)
    finally:
        await _ended(task)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _asked(name: str, struck: "asyncio.Queue[int]", task: "asyncio.Future[Any]") -> Answer:
    print(f"\n{name} runs in the cluster. Leave it running, stop it, or go on watching? [L/s/g] ", end="", file=sys.stderr, flush=True)  # fmt: skip
    line = await _first(_either(_line(), struck.get()), task)
    if line is None:
        print(file=sys.stderr)
        return "go on"
    word = line.strip().lower()[:1] if isinstance(line, str) else ""
    answers: dict[str, Answer] = {"s": "stop", "g": "go on"}
    return answers.get(word, "leave")


async def _stopped(
    name: str,
    follow: str,
    stop: Callable[[], Awaitable[None]],
    struck: "asyncio.Queue[int]",
    task: "asyncio.Future[Any]",
) -> None:
    await _ended(task)
    print(f"stopping {name} …", file=sys.stderr, flush=True)
    stopping = asyncio.ensure_future(stop())
    try:
        if await _first(struck.get(), stopping) is None:
            await stopping
            raise Cancelled(f"{name} was stopped; finished files are kept", hint="run the same command again to go on")
        raise StillRunning(f"{name} is being stopped, and may still run", hint=follow)
    finally:
        await _ended(stopping)


async def _first(wanted: Coroutine[Any, Any, T], task: "asyncio.Future[Any]") -> T | None:
    """What *wanted* gives; None when *task* ended before."""
    waiting = asyncio.ensure_future(wanted)
    await asyncio.wait([waiting, task], return_when=asyncio.FIRST_COMPLETED)
    if waiting.done():
        return waiting.result()
    await _ended(waiting)
    return None


async def _either(one: Coroutine[Any, Any, Any], other: Coroutine[Any, Any, Any]) -> Any:
    waiting = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return next(iter(done)).result()
    finally:
        for task in waiting:
            await _ended(task)


async def _line() -> str:
    """A line of the terminal; no thread waits for it, so that a second Ctrl-C need not either."""
    loop, read = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), read.set)
    try:
        await read.wait()
        return os.read(sys.stdin.fileno(), 4096).decode(errors="replace")
    finally:
        loop.remove_reader(sys.stdin.fileno())


async def _ended(task: "asyncio.Future[Any]") -> None:
    """Cancel *task* and wait until it has ended; what it raises was told, or counts no more."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
