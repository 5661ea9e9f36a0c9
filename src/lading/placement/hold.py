"""The first process of a helper pod: it waits for streams into the pod, and ends the pod when nobody uses it any more.

    python3 -m lading.placement.hold IDLE_S

Alone for *IDLE_S* seconds it exits: a client that was killed leaves a pod that is over, not one that holds the claim.
Told to end, it passes that on and waits a moment, so that what runs beside it lets go of its locks. The standard library
alone, and nothing of ours: the pod shall be ready at once.
"""

import os
import signal
import sys
import time
from pathlib import Path

#: Less than the second of grace that a helper pod is deleted with.
LEAVE_S = 0.7
_LOOK_EVERY_S = 1.0
_STOP = (signal.SIGTERM, signal.SIGINT)


def main(idle_s: float) -> None:
    """Wait; return when told to end, or after *idle_s* alone."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (*_STOP, signal.SIGCHLD))
    used_at = time.monotonic()
    while time.monotonic() - used_at < idle_s:
        caught = signal.sigtimedwait((*_STOP, signal.SIGCHLD), _LOOK_EVERY_S)
        if caught is not None and caught.si_signo in _STOP:
            _pass_on()
            return
        _reap()
        if others():
            used_at = time.monotonic()


def others(proc: Path = Path("/proc")) -> tuple[int, ...]:
    """The other processes of this pod."""
    return tuple(
        sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdigit() and int(entry.name) != os.getpid())
    )


def _pass_on() -> None:
    deadline = time.monotonic() + LEAVE_S
    for pid in others():
        try:
            os.kill(pid, signal.SIGTERM)
        except OSError:
            pass  # it is over, or not ours: it ends with the pod
    while others() and time.monotonic() < deadline:
        _reap()
        time.sleep(0.02)


def _reap() -> None:
    """Take the exit status of what ended here without a parent."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


if __name__ == "__main__":
    main(float(sys.argv[1]))
