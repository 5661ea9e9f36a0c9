"""Bytes by HTTP GET, for the sources that speak it: a kept connection per thread, and no copy on the way.

The body goes from the socket straight into the caller's buffer. A response stays open between two sequential reads of
one entry, so a file is one request; a read at another offset asks for a range. Every answer's mark (its ETag) is
compared with the listing's: bytes of two contents are never mixed.
"""

import http.client
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from lading.errors import (
    RangesRefused,
    SourceBusy,
    SourceChanged,
    SourceDenied,
    SourceError,
    SourceMissing,
    SourceTransient,
)
from lading.sources.connection import Connection, Get, Trust, faults
from lading.sources.per_thread import PerThread
from lading.spec import units
from lading.weights.listing import Entry

FILL_S = 1.0
"""A read gives what it has after this long, so that a slow server cannot keep a caller from its cancel flag."""
STALL_S = 20.0
STALL_BYTES_PER_S = 16 << 10
"""A connection that gives less than this over `STALL_S` is dropped. So low that a slow line shared by dozens of connections
(10 Mbit/s by 64 are 19 KiB/s each) is none: a dead server or a broken path gives next to nothing."""
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,60})</Code>")
#: What object stores say, in answers of 400 or 403, when it is the credentials that are wrong.
STALE = frozenset({"ExpiredToken", "TokenRefreshRequired", "InvalidToken", "InvalidTokenId", "InvalidAccessKeyId"})
_CREDENTIAL_CODES = STALE | {"AuthorizationHeaderMalformed"}
_BUSY_CODES = frozenset({"SlowDown", "SlowDownRead", "TooManyRequests", "ServiceUnavailable"})
_TRANSIENT_CODES = frozenset({"RequestTimeout", "InternalError"})

Clock = Callable[[], float]


class RangeReader:
    """`read_into` over HTTP. Thread-safe: each thread has its own connection.

    Args:
        request: The request for an entry; called for each new response, so that a signature is fresh.
        trust: Which servers are believed.
        renew: Called where the credentials are refused as stale; whether there are others now, to ask once more with.
        clock: Seconds, as `time.monotonic`.
    """

    def __init__(
        self,
        request: Callable[[Entry], Get],
        *,
        trust: Trust | None = None,
        renew: Callable[[], bool] = bool,
        clock: Clock = time.monotonic,
    ) -> None:
        self._request = request
        self._trust = trust or Trust()
        self._renew = renew
        self._clock = clock
        self._connections: PerThread[_Held] = PerThread()

    def read_into(self, entry: Entry, offset: int, buffer: memoryview, *, end: int | None = None) -> int:
        """See `lading.ports.source.Source.read_into`."""
        if entry.size_bytes is not None and offset >= entry.size_bytes:
            return 0
        held = self._connections.get() or self._connections.put(_Held(Connection(self._trust)))
        body = held.body
        if body is None or not body.goes_on(entry.key, offset):
            body = self._open(held, entry, offset, end)
        try:
            count = body.fill(buffer)
        except BaseException:
            held.close()
            raise
        if body.broken:
            held.close()
        elif count == 0 and entry.size_bytes is not None and (end is None or offset < end):
            held.close()  # its length was not told, and so its end is no proof
            raise SourceTransient(f"{body.shown} ended at byte {offset:,} of {entry.size_bytes:,}")
        return count

    def ask(self, request: Callable[[], Get]) -> dict[str, str] | None:
        """The headers of the answer to a HEAD, names in lower case, by this thread's connection; None where it is refused.

        A refusal of a HEAD has no words, and the reading that follows is refused with them.
        """
        held = self._connections.get() or self._connections.put(_Held(Connection(self._trust)))
        held.body = None
        get = request()
        answer = held.connection.send(get)
        answer.close()  # a HEAD has no body: the connection is free for the next request
        if answer.status in {400, 401, 403, 404}:
            return None
        check_status(answer.status, None, get.shown, answer.headers)
        return {name.lower(): value for name, value in answer.headers.items()}

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()

    def _open(self, held: "_Held", entry: Entry, offset: int, end: int | None) -> "Body":
        try:
            shown, answer = self._answer(held.connection, entry, offset, end)
            _check_same(answer, entry, offset, shown)
            if answer.status == 200 and offset and end is not None:
                raise RangesRefused(f"{shown} is given whole only: its server knows no ranges")
            body = Body(entry.key, offset, answer, shown, clock=self._clock)
            if answer.status == 200:
                body.skip(offset)  # the server knows no ranges
        except BaseException:
            held.close()
            raise
        held.body = body
        return body

    def _answer(
        self, connection: Connection, entry: Entry, offset: int, end: int | None
    ) -> tuple[str, http.client.HTTPResponse]:
        """A good answer, with what to call it; refused credentials are renewed once."""
        for again in (True, False):
            get = self._request(entry)
            answer = connection.send(get, _headers(get, entry, offset, end))
            code = refusal(answer, get.shown)
            if not (again and code in STALE and self._renew()):
                break
        check_status(answer.status, code, get.shown, answer.headers)
        return get.shown, answer


@dataclass(slots=True)
class _Held:
    """What a thread keeps: a connection, and the body that it reads from it."""

    connection: Connection
    body: "Body | None" = None

    def close(self) -> None:
        self.body = None
        self.connection.close()


class Body:
    """The body of one answer, read in order.

    Attributes:
        position: Offset in the file of the next byte.
        broken: No more can be read from it.
        shown: What messages call it.
    """

    def __init__(
        self, key: str, start: int, answer: http.client.HTTPResponse, shown: str, *, clock: Clock = time.monotonic
    ) -> None:
        self.key = key
        self.position = start
        self.broken = False
        self._whole = answer.status == 200
        self._answer = answer
        self.shown = shown
        self._clock = clock
        self._pace = Pace()

    def goes_on(self, key: str, offset: int) -> bool:
        """Whether what is read next is the byte at *offset* of *key*; the end of a whole file is read again and again."""
        return (self.key, self.position) == (key, offset) and (self._whole or not self._answer.isclosed())

    def fill(self, buffer: memoryview) -> int:
        """Read until *buffer* is full, the body ends, or `FILL_S` passed; 0 only at the end.

        A fault after some bytes gives these bytes; the next read meets the fault again, or a healed server.

        Raises:
            SourceTransient: Nothing came for `SOCKET_TIMEOUT_S`, next to nothing for `STALL_S`, or the connection broke.
        """
        got = 0
        began = now = self._clock()
        while got < len(buffer):
            try:
                with faults(self.shown):
                    count = self._receive(buffer[got:])
            except SourceTransient:
                self.broken = True
                if got == 0:
                    raise
                break
            got += count
            now = self._clock()
            if count == 0 or now - began >= FILL_S:
                break
        if not self.broken and self._pace.stalled(got, now - began):
            raise SourceTransient(
                f"{self.shown} gave less than {units.show_bytes(STALL_BYTES_PER_S)} a second for {STALL_S:.0f} s"
            )
        self.position += got
        return got

    def skip(self, count: int) -> None:
        """Read and forget what came before the offset asked for."""
        if count == 0:
            return
        scratch = memoryview(bytearray(1 << 18))
        self.position = 0
        while self.position < count:
            if self.fill(scratch[: count - self.position]) == 0 or self.broken:
                raise SourceTransient(f"{self.shown} ended at byte {self.position}, before {count}")

    def _receive(self, buffer: memoryview) -> int:
        """One receive; 0 at the end of the body."""
        answer = self._answer
        if answer.isclosed() or answer.fp is None:
            return 0
        if answer.chunked:
            data = answer.read1(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        if answer.length is None:
            return answer.fp.readinto1(buffer)
        count = answer.fp.readinto1(buffer[: answer.length])
        if count == 0 and answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
        answer.length -= count
        if answer.length == 0:
            answer.close()  # of the answer: the connection is free for the next request
        return count


@dataclass(slots=True)
class Pace:
    """How fast a body comes while somebody waits for it: the time between two reads is the reader's own."""

    waited_s: float = 0.0
    got_bytes: int = 0

    def stalled(self, size_bytes: int, seconds: float) -> bool:
        """Count what came in *seconds* of waiting; whether it was next to nothing for all of `STALL_S`."""
        self.waited_s += seconds
        self.got_bytes += size_bytes
        if self.waited_s < STALL_S:
            return False
        slow = self.got_bytes < STALL_BYTES_PER_S * self.waited_s
        self.waited_s, self.got_bytes = 0.0, 0
        return slow


def mark(headers: http.client.HTTPMessage) -> str | None:
    """The server's mark of this content: its ETag, else the time of its last change."""
    return headers.get("ETag") or headers.get("Last-Modified")


def check_status(status: int, code: str | None, shown: str, headers: http.client.HTTPMessage | None = None) -> None:
    """Raise what *status* means, unless it is a success; *code* is an object store's own word for it."""
    said = f"{status}{f' {code}' if code else ''}"
    headers = headers or http.client.HTTPMessage()
    if 200 <= status < 300:
        return
    if status == 412:
        raise changed(shown)
    if code == "RequestTimeTooSkewed":
        raise skewed(shown, headers.get("Date"))
    if code == "InvalidObjectState":
        raise SourceError(
            f"{shown} lies in an archive and cannot be read now ({said})", hint="have the store restore it"
        )
    if status in {401, 403, 407} or code in _CREDENTIAL_CODES:
        raise SourceDenied(f"{shown} refused the request ({said})", hint="check the credentials and what they may read")
    if status in {404, 410}:
        raise SourceMissing(f"{shown} does not exist ({said})", hint="check the address")
    if status in {429, 503} or code in _BUSY_CODES:
        raise SourceBusy(
            f"{shown} answered {said}", hint="the server asks for fewer requests; try again later",
            retry_after_s=retry_after_s(headers.get("Retry-After")),
        )  # fmt: skip
    if status in _TRANSIENT or code in _TRANSIENT_CODES:
        raise SourceTransient(f"{shown} answered {said}", hint="the server is busy or failing; try again later")
    raise SourceError(f"{shown} answered {said}")


def retry_after_s(text: str | None, *, now: datetime | None = None) -> float | None:
    """The seconds that a ``Retry-After`` names, by number or by date; None where it names none."""
    if text is None:
        return None
    if re.fullmatch(r"\d{1,9}", text.strip()):
        return float(text)
    at = _date(text)
    return None if at is None else max(0.0, (at - (now or datetime.now(UTC))).total_seconds())


def skewed(shown: str, date: str | None, *, now: datetime | None = None) -> SourceError:
    """The error of a signature whose time the store, whose ``Date`` is *date*, does not accept."""
    at = _date(date)
    difference = "differ"
    if at is not None:
        ahead_s = ((now or datetime.now(UTC)) - at).total_seconds()
        difference = f"differ by {units.show_seconds(abs(ahead_s))} (ours is {'ahead' if ahead_s > 0 else 'behind'})"
    return SourceError(
        f"{shown}: the clocks of this machine and of the store {difference}", hint="set this machine's clock"
    )


def changed(shown: str) -> SourceChanged:
    """The error of content that is not the listing's any more."""
    return SourceChanged(
        f"{shown} changed while it was read", hint="run the same command again: it takes the source as it is then"
    )


def _headers(get: Get, entry: Entry, offset: int, end: int | None) -> dict[str, str]:
    """Those of *get*, with the range and what the content must be."""
    headers = dict(get.headers)
    if end is not None and end >= (entry.size_bytes or end + 1):
        end = None
    if offset or end is not None:
        headers["Range"] = f"bytes={offset}-{'' if end is None else end - 1}"
    if entry.etag and entry.etag.startswith('"'):
        headers["If-Match"] = entry.etag  # a weak ETag never matches; it is compared in the answer
    return headers


def refusal(answer: http.client.HTTPResponse, shown: str) -> str | None:
    """An object store's own word for a refusal."""
    if 200 <= answer.status < 300:
        return None
    with faults(shown):
        found = _CODE.search(answer.read(4096))
    return found[1].decode() if found else None


def _date(text: str | None) -> datetime | None:
    try:
        at = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _check_same(answer: http.client.HTTPResponse, entry: Entry, offset: int, shown: str) -> None:
    """That the answer is about the content listed: its mark, its size, and where it begins."""
    if entry.etag is not None and mark(answer.headers) != entry.etag:
        raise changed(shown)
    begins, size = 0, answer.length
    if answer.status == 206:
        begins, size = _content_range(answer.headers.get("Content-Range", ""))
        if begins != offset:
            answered = "no word on which they are" if begins < 0 else f"bytes from {begins:,}"
            raise SourceError(f"{shown} was asked for bytes from {offset:,} and answered with {answered}")
    if None not in (size, entry.size_bytes) and size != entry.size_bytes:
        raise changed(shown)
    encoding = answer.headers.get("Content-Encoding", "identity")
    if encoding != "identity" and answer.length is None:  # with a length it is how the file lies there (.gz)
        raise SourceError(
            f"{shown} is sent compressed ({encoding[:20]!r}), though plain bytes were asked for",
            hint="turn compression off for these files at the server, or at the proxy before it",
        )


def _content_range(text: str) -> tuple[int, int | None]:
    match = re.fullmatch(r"bytes (\d{1,18})-\d+/(\d{1,18}|\*)", text.strip())
    if match is None:
        return -1, None
    return int(match[1]), None if match[2] == "*" else int(match[2])
