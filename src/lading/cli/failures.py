"""Errors as a person reads them, and the exit codes they have (`docs/exit-codes.md`)."""

import signal
import sys
import traceback
from collections.abc import Callable

from lading.errors import Cancelled, LadingError, PodFailed, ServingError

BROKEN_PIPE = 128 + signal.SIGPIPE


def guarded(run: Callable[[], int], *, debug: bool) -> int:
    """What *run* gives, or the exit code of the error it raised, which is printed to stderr.

    A bug keeps its traceback: it is one, and the reader should send it to us.
    """
    try:
        return run()
    except KeyboardInterrupt:
        show(Cancelled("interrupted; what was finished is kept"))
        return Cancelled.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output is gone: nothing left to say
        return BROKEN_PIPE
    except LadingError as error:
        if debug:
            traceback.print_exc()
        show(error)
        return error.exit_code
    except ExceptionGroup as group:
        known = group.subgroup(LadingError)
        if known is None or group.split(LadingError)[1] is not None:
            raise
        first = _first(known)
        if debug:
            traceback.print_exc()
        show(first)
        return first.exit_code


def show(error: LadingError) -> None:
    """Print *error* to stderr: the end of a server's or a pod's log, the fact, the remedy."""
    from lading.cli.output import shown  # `lading --help` does without

    if isinstance(error, ServingError | PodFailed):
        for line in error.log[-12:]:
            print(f"  | {shown(line)}", file=sys.stderr)
    print(f"error: {shown(error.message)}", file=sys.stderr)
    if error.hint:
        print(f"hint: {shown(error.hint)}", file=sys.stderr)


def _first(group: BaseExceptionGroup[LadingError]) -> LadingError:
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an exception group is never empty")
