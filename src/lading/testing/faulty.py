"""An HTTP server that answers wrongly on purpose, and counts what it sent.

An `Origin` gives the honest `Answer` to a request: `Files` of its own, or `Upstream`, a real server (MinIO) whose answers
pass through. A fault (`lading.testing.faults`) is planned for a path, a place in the file and a number of times::

    with serving(Files({"model.bin": data})) as server:
        server.plan(reset(after_bytes=1000), path="model.bin", times=2)

What went out is counted by path and range, so that a test says what was fetched again.
"""

import hashlib
import http.client
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from lading.testing.faults import Answer, Fault, Origin, Request, short

PIECE_BYTES = 1 << 16
_SEND_BUFFER_BYTES = 1 << 16
"""So small that what was counted as sent is what crossed the wire, give or take a piece for each connection."""


Change = Callable[[Request], Request | None]
"""What becomes of a request on its way; None: its connection breaks."""


@dataclass(slots=True, kw_only=True)
class Rule:
    """A planned fault; *times* counts down, None: always. *at*: only answers whose range has that byte of the file.

    *before* is called before the origin is asked.
    """

    fault: Fault
    path: str
    method: str
    times: int | None
    skip: int
    at: int | None
    before: Callable[[], object] = bool

    def takes(self, request: Request) -> bool:
        """Whether it meets *request*; counts if so."""
        if self.times == 0 or self.method != request.method or not fnmatchcase(request.path, self.path):
            return False
        if self.at is not None and not (request.start or 0) <= self.at < (request.end or 1 << 63):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One answer: *size_bytes* of its body went out."""

    method: str
    path: str
    start: int | None
    end: int | None
    status: int
    size_bytes: int


@dataclass(slots=True, kw_only=True)
class Server:
    """A running server.

    Attributes:
        log: All answers that were sent, or begun.
        pass_bytes: After so many bytes of bodies in all, every answer waits until this is raised; None: no limit.
        rate_bytes_per_s: Of all connections together, as of a line; None: as fast as it goes.
        taken_bytes: Bytes of the bodies of requests.
    """

    origin: Origin
    url: str = ""
    log: list[Sent] = field(default_factory=list)
    pass_bytes: int | None = None
    rate_bytes_per_s: float | None = None
    asked: list[Request] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    taken_bytes: int = 0
    _free_at: float = 0.0
    _rules: list[Rule] = field(default_factory=list)
    _changes: list[tuple[Rule, Change]] = field(default_factory=list)
    _sent: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(
        self, *faults: Fault, path: str = "*", method: str = "GET", times: int | None = 1, skip: int = 0,
        at: int | None = None, before: Callable[[], object] = bool,
    ) -> None:  # fmt: skip
        """Let these faults, together, meet the next *times* requests (after *skip* others) for *path*, a pattern."""
        fault = partial(_all, faults)
        self._rules.append(Rule(fault=fault, path=path, method=method, times=times, skip=skip, at=at, before=before))

    def change(
        self, change: Change, *, path: str = "*", method: str = "PUT", times: int | None = 1, skip: int = 0
    ) -> None:
        """Let *change* meet the next *times* requests (after *skip* others), whose bodies were read, before they are answered."""
        rule = Rule(fault=lambda answer: answer, path=path, method=method, times=times, skip=skip, at=None)
        self._changes.append((rule, change))

    def changed(self, request: Request) -> Request | None:
        """*request* as it is to be answered; None: the connection breaks instead."""
        with self._lock:
            self.taken_bytes += len(request.body)
            changes = [change for rule, change in self._changes if rule.takes(request)]
        for change in changes:
            changed = change(request)
            if changed is None:
                return None
            request = changed
        return request

    def clear(self) -> None:
        """Forget what was planned."""
        with self._lock:
            self._rules.clear()
            self._changes.clear()

    @property
    def sent_bytes(self) -> int:
        """Bytes of all bodies."""
        return sum(self._sent.values())

    def sent(self, path: str = "*") -> int:
        """Bytes of the bodies of answers for *path*, a pattern."""
        with self._lock:
            return sum(count for name, count in self._sent.items() if fnmatchcase(name, path))

    def answer(self, request: Request) -> Answer:
        """The answer to *request*, with the faults that meet it."""
        with self._lock:
            self.asked.append(request)
            rules = [rule for rule in self._rules if rule.takes(request)]
        for rule in rules:
            rule.before()
        answer = self.origin(request)
        for rule in rules:
            answer = rule.fault(answer)
        return answer

    def count(self, path: str, size_bytes: int) -> None:
        """Note bytes that went out; waits where it is to."""
        now = time.monotonic()
        with self._lock:
            self._sent[path] += size_bytes
            if self.rate_bytes_per_s is not None:
                self._free_at = max(now, self._free_at) + size_bytes / self.rate_bytes_per_s
        self.stopping.wait(max(0.0, self._free_at - now))
        while self.pass_bytes is not None and self.sent_bytes >= self.pass_bytes and not self.stopping.is_set():
            time.sleep(0.01)


@contextmanager
def serving(origin: Origin | Mapping[str, bytes], *, host: str = "127.0.0.1") -> Iterator[Server]:
    """A running server before *origin* (or files of these contents) on a free port; ended at the end."""
    honest = origin if callable(origin) else Files(dict(origin))
    with _Http((host, 0), _Handler) as http_server:
        server = http_server.faulty = Server(origin=honest, url=f"http://{host}:{http_server.server_address[1]}")
        thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            http_server.shutdown()
            thread.join()


# ---------------------------------------------------------------------------------------------------------- origins


@dataclass(slots=True)
class Files:
    """An honest origin of *files*, by path without the first ``/``; they may be replaced while it serves.

    Attributes:
        honours_if_match: Whether other content than ``If-Match`` names is refused (412).
        ranges: Whether it knows ``Range``; else it gives the whole file.
    """

    files: dict[str, bytes]
    honours_if_match: bool = True
    ranges: bool = True

    def __call__(self, request: Request) -> Answer:
        """See `Origin`."""
        data = self.files.get(request.path)
        if data is None:
            return short(404)
        etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        if self.honours_if_match and request.headers.get("If-Match", etag) != etag:
            return short(412)
        if request.start is None or not self.ranges:
            return Answer(headers=(("ETag", etag), ("Content-Length", str(len(data)))), body=_pieces(data))
        start, end = request.start, min(request.end or len(data), len(data))
        if start >= len(data):
            return short(416)
        told = ("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        headers = (("ETag", etag), ("Content-Length", str(end - start)), told)
        return Answer(status=206, headers=headers, body=_pieces(data, start, end))


@dataclass(slots=True)
class Upstream:
    """A real server at *url*: requests go to it as they came, ``Host`` included, so that signatures stay good."""

    url: str

    def __call__(self, request: Request) -> Answer:
        """See `Origin`."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            connection.putheader(name, value)
        connection.endheaders(request.body or None)
        answer = connection.getresponse()
        headers = tuple(item for item in answer.getheaders() if item[0].lower() not in _HOP_BY_HOP)
        framing: Literal["length", "chunked"] = "chunked" if answer.chunked else "length"
        return Answer(status=answer.status, headers=headers, body=_received(connection, answer), framing=framing)


_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})


def _pieces(data: bytes, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    end = len(data) if end is None else end
    return (data[at : min(at + PIECE_BYTES, end)] for at in range(start, end, PIECE_BYTES))


def _received(connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> Iterator[bytes]:
    with closing(connection), answer:
        while piece := answer.read1(PIECE_BYTES):
            yield piece


def _all(faults: Sequence[Fault], answer: Answer) -> Answer:
    for fault in faults:
        answer = fault(answer)
    return answer


# ----------------------------------------------------------------------------------------------------------- sending


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    faulty: Server

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def setup(self) -> None:
        """Buffer little."""
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        super().setup()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Answer HEAD."""
        self._answer()

    def do_GET(self) -> None:
        """Answer GET."""
        self._answer()

    def do_PUT(self) -> None:
        """Answer PUT."""
        self._answer()

    def do_POST(self) -> None:
        """Answer POST."""
        self._answer()

    def do_DELETE(self) -> None:
        """Answer DELETE."""
        self._answer()

    def _answer(self) -> None:
        asked = _read(self.command, self.path, dict(self.headers.items()))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = self.server.faulty.changed(replace(asked, body=body))
        if request is None:
            self._end(Answer(then="reset"))
            return
        answer = self.server.faulty.answer(request)
        self.wfile.write(answer.head if answer.head is not None else _head(answer))
        sent = 0
        try:
            if request.method != "HEAD":
                sent = self._body(request, answer)
        finally:
            self.server.faulty.log.append(
                Sent(
                    method=request.method, path=request.path, start=request.start, end=request.end,
                    status=answer.status, size_bytes=sent,
                )
            )  # fmt: skip
        self._end(answer)

    def _body(self, request: Request, answer: Answer) -> int:
        sent = 0
        for piece in answer.body:
            if not piece:
                continue
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if answer.framing == "chunked" else piece)
            sent += len(piece)
            self.server.faulty.count(request.path, len(piece))
        if answer.framing == "chunked" and answer.then == "keep":
            self.wfile.write(b"0\r\n\r\n")
        return sent

    def _end(self, answer: Answer) -> None:
        if answer.then == "keep":
            return
        self.close_connection = True
        if answer.then == "reset":
            with suppress(OSError):  # linger of no time at all: the system sends a reset
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.request.close()


def _read(method: str, target: str, headers: Mapping[str, str]) -> Request:
    path = unquote(target.partition("?")[0]).lstrip("/")
    start, end = _range(next((value for name, value in headers.items() if name.lower() == "range"), None))
    return Request(method=method, target=target, path=path, headers=headers, start=start, end=end)


def _range(value: str | None) -> tuple[int | None, int | None]:
    if value is None:
        return None, None
    first, _, last = value.removeprefix("bytes=").partition("-")
    return int(first), int(last) + 1 if last else None


def _head(answer: Answer) -> bytes:
    reason = http.client.responses.get(answer.status, "Odd")
    lines = [f"{answer.version} {answer.status} {reason}", *(f"{name}: {value}" for name, value in answer.headers)]
    if answer.framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "surrogateescape")
