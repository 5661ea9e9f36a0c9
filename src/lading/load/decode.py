"""What an answer said and when: read after the run, from the stamped bytes of its `Exchange`. No I/O.

A chunk is a token's when it has ``text``, ``delta.content`` or ``delta.reasoning_content`` (newer servers:
``delta.reasoning``): the role chunk, empty chunks and the usage chunk are none. Its time is that of the read that
completed its event. An answer is complete with ``[DONE]``, or with its proper last byte after a ``finish_reason``.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from lading.load.wire import BadAnswer, Exchange, Head, chunk_size
from lading.measure.records import ErrorKind

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_DONE = b"[DONE]"
LONGEST_MESSAGE = 300


@dataclass(slots=True)
class Answer:
    """What was read of one answer; times are monotonic.

    Attributes:
        complete_s: When it was complete; None where it never was.
    """

    token_times_s: list[float] = field(default_factory=list)
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    status: int | None = None
    finish_reason: str | None = None
    served_model: str | None = None
    complete_s: float | None = None
    error: ErrorKind | None = None
    message: str = ""


def decode(exchange: Exchange) -> Answer:
    """The answer of an ended exchange. Whatever came, there is an answer; a bad one has its `error`."""
    answer = Answer(status=exchange.head.status if exchange.head else None)
    if exchange.head is not None:
        try:
            _read(exchange, exchange.head, answer)
        except BadAnswer as error:
            answer.error, answer.message = "stream", str(error)
    if answer.error is None:
        _judge(exchange, answer)
    answer.message = _printable(answer.message)
    return answer


def _judge(exchange: Exchange, answer: Answer) -> None:
    """What is wrong with an answer whose bytes were all right."""
    if answer.complete_s is not None:
        if not answer.token_times_s:
            answer.error, answer.message = "no_tokens", "the answer was complete and had no content"
    elif exchange.failure is not None:
        answer.error, answer.message = exchange.failure, exchange.failure_message
    else:
        answer.error, answer.message = "early_close", "the answer ended before [DONE] and without its finish reason"


def _read(exchange: Exchange, head: Head, answer: Answer) -> None:
    body, pieces = _unframed(exchange.raw, head)
    if not 200 <= head.status < 300:
        answer.error, answer.message = "http", f"HTTP {head.status}: {_short(body)}"
        return
    if exchange.whole and _no_stream(body):
        answer.error, answer.message = "stream", f"the answer is no event stream: {_short(body)}"
        return
    clock = _Clock(exchange.marks, pieces)
    for end, data in _events(body):
        at = clock.at(end)
        if data == _DONE:
            answer.complete_s = at
            return
        _take(_parsed(data), at, answer)
        if answer.error is not None:
            return
    if exchange.whole and answer.finish_reason is not None:
        answer.complete_s = exchange.marks[-1][0]


def _take(event: dict[str, Any], at: float, answer: Answer) -> None:
    """Add what one event says to *answer*."""
    if event.get("error") or event.get("object") == "error":
        answer.error, answer.message = "stream", f"the server sent an error: {_message(event)}"
        return
    usage = event.get("usage")
    if isinstance(usage, dict):
        answer.prompt_tokens = _count(usage.get("prompt_tokens"))
        answer.completion_tokens = _count(usage.get("completion_tokens"))
    if answer.served_model is None and isinstance(event.get("model"), str):
        answer.served_model = _printable(event["model"])
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            raise BadAnswer(f"a choice is no object: {choice!r:.60}")
        if _has_content(choice):
            answer.token_times_s.append(at)
        if isinstance(reason := choice.get("finish_reason"), str):
            answer.finish_reason = _printable(reason)


def _has_content(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return bool(choice.get("text"))
    return bool(delta.get("content") or delta.get("reasoning_content") or delta.get("reasoning"))


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        event = from_json(data)  # faster than `json`, and bounded in depth
    except ValueError as error:
        raise BadAnswer(f"an event is not JSON: {data[:60]!r}") from error
    if not isinstance(event, dict):
        raise BadAnswer(f"an event is no JSON object: {data[:60]!r}")
    return event


def _events(body: bytes) -> Iterator[tuple[int, bytes]]:
    """(where its last byte ends, data) of each complete server-sent event that has data."""
    start = 0
    for blank in _BLANK_LINE.finditer(body):
        data = _data(body[start : blank.start()])
        start = blank.end()
        if data is not None:
            yield blank.end(), data
    if _data(body[start:]) == _DONE:  # some servers end the stream without the last blank line
        yield len(body), _DONE


def _data(event: bytes) -> bytes | None:
    """The data of one event; None for comments and events without any."""
    if event.startswith(b"data: ") and b"\n" not in event and b"\r" not in event:
        return event[6:].strip()
    lines = [line[5:] for line in _LINE_END.split(event) if line.startswith(b"data:")]
    return b"\n".join(line.removeprefix(b" ") for line in lines).strip() if lines else None


Piece = tuple[int, int]
"""(where the piece ends in the body, how much further on the same byte is in the raw bytes)."""


def _unframed(raw: bytearray, head: Head) -> tuple[bytes, list[Piece]]:
    """The body without its chunk framing, and where its pieces were."""
    if head.framing != "chunked":
        end = head.body_at + head.length if head.framing == "length" else len(raw)
        body = bytes(raw[head.body_at : end])
        return body, [(len(body), head.body_at)]
    parts: list[bytes] = []
    pieces: list[Piece] = []
    start, length = head.body_at, 0
    while (line_end := raw.find(b"\r\n", start)) >= 0 and (size := chunk_size(raw[start:line_end])) > 0:
        part = bytes(raw[line_end + 2 : line_end + 2 + size])
        parts.append(part)
        pieces.append((length + len(part), line_end + 2 - length))
        length += len(part)
        start = line_end + 2 + size + 2
    return b"".join(parts), pieces


class _Clock:
    """When each byte of a body had arrived; must be asked in order."""

    def __init__(self, marks: list[tuple[float, int]], pieces: list[Piece]) -> None:
        self._marks, self._mark = marks, 0
        self._pieces, self._piece = pieces, 0

    def at(self, end: int) -> float:
        """When the byte before *end* had come."""
        while self._pieces[self._piece][0] < end:
            self._piece += 1
        raw_end = end + self._pieces[self._piece][1]
        while self._marks[self._mark][1] < raw_end:
            self._mark += 1
        return self._marks[self._mark][0]


def _no_stream(body: bytes) -> bool:
    return not body.strip() or body.lstrip()[:1] in {b"{", b"<", b"["}


def _short(body: bytes) -> str:
    """A server's own words about an error, as far as they can be understood."""
    try:
        document = from_json(body)
    except ValueError:
        document = None
    if isinstance(document, dict):
        return _message(document)
    return body[: 4 * LONGEST_MESSAGE].decode("utf-8", "replace").strip() or "no body"


def _message(document: dict[str, Any]) -> str:
    """The message in an error document of the OpenAI API or of FastAPI."""
    found: Any = document
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    return found if isinstance(found, str) else json.dumps(found)


def _printable(text: str) -> str:
    """A server's words, safe to print: one line, no control characters, not too long."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:LONGEST_MESSAGE]


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
