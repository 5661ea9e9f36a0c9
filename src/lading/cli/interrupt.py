"""Ctrl-C for commands that must clean up: the first one cancels and waits, the second one leaves at once.

SIGTERM (a pod that is deleted) counts like Ctrl-C. Leaving at once is safe: whatever we write survives a SIGKILL.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from lading.errors import Cancelled

T = TypeVar("T")
SHOW_CURSOR = "\x1b[?25h"


async def stoppable(work: Coroutine[Any, Any, T], *, kept: str, leaving: Callable[[], None] = lambda: None) -> T:
    """What *work* gives.

    Args:
        work: What to await.
        kept: What stays of it when it is interrupted.
        leaving: Called before the program leaves at once: what must not outlive it is killed here.

    Raises:
        Cancelled: It was interrupted and has cleaned up; *kept* says what of it stays.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    strikes: list[int] = []

    def struck(number: int) -> None:
        strikes.append(number)
        if len(strikes) > 1:
            leaving()
            _leave()
        print("stopping … (Ctrl-C again leaves at once)", file=sys.stderr, flush=True)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, struck, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not strikes:
            raise
        raise Cancelled(f"interrupted; {kept}", hint="run the same command again to go on") from None
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _leave() -> None:
    if sys.stderr.isatty():
        sys.stderr.write(SHOW_CURSOR)
    print("error: left at once; what was finished is kept", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(Cancelled.exit_code)
