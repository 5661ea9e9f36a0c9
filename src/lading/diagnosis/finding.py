"""What is concluded from evidence, and careful reading of objects from outside: any key may be missing or of another type."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lading.spec.lines import one_line

_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One cause, what shows it, and what mends it.

    Attributes:
        cause: A stable code, such as ``image-not-pullable``; ``unknown`` where the evidence fits none.
        sentence: The fact with its values, one sentence without its full stop.
        remedy: What to do next, ideally a command; empty where nothing is to be done.
        evidence: What the cluster said, word for word, newest last.
        fatal: Waiting will not mend it.
    """

    cause: str
    sentence: str
    remedy: str
    evidence: tuple[str, ...] = ()
    fatal: bool = False


Object = Mapping[str, Any]
"""An object of the API; nothing about its inside is trusted."""


def at(value: Any, *path: str | int) -> Any:
    """What lies at *path* in *value*, None where it does not."""
    for step in path:
        if isinstance(step, str) and isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list | tuple) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def text(value: Any, *path: str | int) -> str:
    """The string at *path* as one line of at most 500 characters; empty where there is none."""
    found = at(value, *path)
    return one_line(found).strip()[:_LONGEST] if isinstance(found, str) else ""


def number(value: Any, *path: str | int) -> int | None:
    """The whole number at *path*."""
    found = at(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def objects(value: Any, *path: str | int) -> tuple[Object, ...]:
    """The mappings in the list at *path*."""
    found = at(value, *path)
    return tuple(one for one in found if isinstance(one, Mapping)) if isinstance(found, list | tuple) else ()


def name(thing: Any) -> str:
    """The object's own name."""
    return text(thing, "metadata", "name") or "(no name)"


def condition(thing: Any, kind: str) -> Object | None:
    """The condition of that type in the object's status, whatever it says."""
    return next((one for one in objects(thing, "status", "conditions") if one.get("type") == kind), None)


def holds(thing: Any, kind: str) -> Object | None:
    """The condition of that type, when it is true."""
    found = condition(thing, kind)
    return found if found is not None and found.get("status") == "True" else None


def statuses(pod: Any) -> tuple[Object, ...]:
    """What is said of each of the pod's containers, those first that run first."""
    return (*objects(pod, "status", "initContainerStatuses"), *objects(pod, "status", "containerStatuses"))


def ordered(events: Sequence[Object]) -> tuple[Object, ...]:
    """*events*, the latest last."""
    return tuple(sorted(objects({"items": events}, "items"), key=when))


def of(thing: Any, events: Sequence[Object]) -> tuple[Object, ...]:
    """Those of *events* that speak of *thing* (by uid, where both have one), the latest last."""
    return tuple(event for event in ordered(events) if _about(event, thing))


def said(event: Object) -> str:
    """An event as a line of evidence."""
    return f"{text(event, 'reason') or 'Event'}: {text(event, 'message') or text(event, 'note')}"


def message(event: Object) -> str:
    """An event's own words, by either of its APIs."""
    return text(event, "message") or text(event, "note")


def newest(events: Sequence[Object], *reasons: str) -> Iterator[Object]:
    """Those of *events* with one of *reasons*, the latest first."""
    return (event for event in reversed(ordered(events)) if text(event, "reason") in reasons)


def _about(event: Object, thing: Any) -> bool:
    subject = at(event, "involvedObject") or at(event, "regarding")
    uid, own = text(subject, "uid"), text(thing, "metadata", "uid")
    if uid and own:
        return uid == own
    return text(subject, "name") == text(thing, "metadata", "name")


def when(event: Object) -> float:
    """When it was last seen, in seconds; an event that was repeated has its last time in one of three places."""
    times = (
        at(event, "series", "lastObservedTime"), at(event, "lastTimestamp"), at(event, "deprecatedLastTimestamp"),
        at(event, "eventTime"), at(event, "metadata", "creationTimestamp"),
    )  # fmt: skip
    return max((seconds(one) for one in times), default=0.0)


def seconds(moment: Any) -> float:
    """A moment as the API writes it, in seconds since 1970; 0 where it is none."""
    try:
        return datetime.fromisoformat(moment).timestamp() if isinstance(moment, str) else 0.0
    except (ValueError, OverflowError, OSError):
        return 0.0
