"""What a pod of ours says: lines of a log, back into events and errors. Whatever else a line is, it is only shown.

A log comes from outside: a line is an event only where it fits the schema, and nothing in it may drive a terminal.
"""

import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lading import errors
from lading.cluster.kinds import Object
from lading.errors import LadingError, PodFailed
from lading.events import (
    CommandEnded,
    Event,
    Failed,
    Notice,
    PermissionsRepaired,
    PreflightProblem,
    Published,
    PullPlanned,
    Pushed,
    SourceListed,
    Unchanged,
    Verified,
)
from lading.manifests import ours

RESULTS = (Published, Unchanged, Pushed, Verified, SourceListed, PermissionsRepaired)
TAIL_LINES = 40
_LONGEST = 1 << 20
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)
_IN_POD = re.compile(rf"(?<![\w./-]){re.escape(ours.MOUNT)}(?![\w.-])")
#: Errors that are made of a message and a hint alone.
_PLAIN: dict[type, type[LadingError]] = {
    kind: kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, LadingError)
    and kind is not LadingError
    and all("__init__" not in vars(base) for base in kind.__mro__[: kind.__mro__.index(LadingError)])
}


@dataclass(slots=True)
class Heard:
    """What a pod said so far.

    Attributes:
        result: Its last result.
        failed: Why it could not be done.
        done: Its word that all is done.
        tail: The last lines that are no events.
    """

    result: Event | None = None
    failed: Failed | None = None
    done: CommandEnded | None = None
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))

    def take(self, text: str, claim: str) -> Event | None:
        """Take one line; the event to tell on, None where there is none."""
        event = parse(text, claim)
        match event:
            case None:
                self.tail.append(printable(text)[:500])
            case CommandEnded():
                self.done = event
                return None
            case Failed():
                self.failed = event
                return None
            case Published() | Unchanged() | Pushed() | Verified() | SourceListed() | PermissionsRepaired():
                self.result = event
            case _:
                pass
        return event


def parse(text: str, claim: str) -> Event | None:
    """The event that *text* is, its paths as references to *claim*; None where it is none."""
    if len(text) > _LONGEST or not text.startswith("{"):
        return None
    try:
        return event(json.loads(text), claim)
    except (ValueError, RecursionError):
        return None


def event(document: object, claim: str) -> Event | None:
    """The event that *document* is, its paths as references to *claim*; None where it is none."""
    try:
        return _placed(_ADAPTER.validate_python(_cleaned(document)), claim)
    except (ValidationError, RecursionError):
        return None


def error(failed: Failed, *, log: tuple[str, ...] = ()) -> LadingError:
    """The error that a pod told, of its own kind where we know it."""
    kind: type = getattr(errors, failed.code, object)
    for base in kind.__mro__:
        plain = _PLAIN.get(base)
        if plain is not None and plain.exit_code == failed.exit_code:
            return plain(failed.message, hint=failed.hint)
    return PodFailed(failed.message, hint=failed.hint, log=log)


def last_word(pod: Object, claim: str) -> Event | None:
    """The result or error that *pod* left as its termination message."""
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        ended = (status.get("state") or {}).get("terminated") or {}
        for line in reversed(str(ended.get("message") or "").splitlines()):
            event = parse(line, claim)
            if isinstance(event, (*RESULTS, Failed)):
                return event
    return None


def printable(text: str) -> str:
    """*text* without what a terminal would obey."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


def _placed(event: Event, claim: str) -> Event:
    """In the pod the volume is a folder; here it is a claim."""
    named: dict[str, str | None]
    match event:
        case Published() | Unchanged():
            named = {"path": event.path}
        case PullPlanned():
            named = {"volume": event.volume}
        case Failed() | Notice() | PreflightProblem():
            named = {"message": event.message, "hint": event.hint}
        case _:
            return event
    return event.model_copy(update={key: text and _moved(text, claim) for key, text in named.items()})


def _moved(text: str, claim: str) -> str:
    return _IN_POD.sub(lambda _: f"pvc://{claim}", text)


def _cleaned(value: Any) -> Any:
    match value:
        case str():
            return printable(value)
        case list():
            return [_cleaned(one) for one in value]
        case Mapping():
            return {printable(str(key)): _cleaned(one) for key, one in value.items()}
        case _:
            return value
