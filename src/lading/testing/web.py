"""A web server on loopback with ranges, marks and planned faults, that counts the bytes it sent.

A fault is planned for a path and meets the next request that asks for its body; later requests go well, unless it is
planned again.
"""

import hashlib
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection ends after so many bytes of the body."""

    after_bytes: int


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing more comes after so many bytes, for so long, on an open connection."""

    after_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Status:
    """The answer is this status, without the file."""

    status: int


@dataclass(frozen=True, slots=True)
class Lie:
    """The answer claims a body of another length."""

    claimed_bytes: int


@dataclass(frozen=True, slots=True)
class Swap:
    """The connection ends after so many bytes, and the file is another one from then on."""

    after_bytes: int
    data: bytes


Fault = Cut | Stall | Status | Lie | Swap


@dataclass(slots=True)
class Web:
    """What the server has and what it did; all may be changed while it runs.

    Attributes:
        files: By path without the first ``/``.
        redirects: Path to address.
        ranges, heads: Whether it knows ``Range`` and ``HEAD``.
        chunked: Whether bodies come without a length.
        password: ``user:password`` it asks for.
        slow: Seconds before each chunk of 64 KiB.
        held: Paths whose last chunk does not come before they are taken out.
        sent: Bytes of bodies, by path.
        asked: ``METHOD path`` of all requests, in order.
        peers: Ports of the clients' connections.
        close_after: Whether a connection is closed after each answer, although nothing says so.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    heads: bool = True
    chunked: bool = False
    weak: bool = False
    password: str | None = None
    close_after: bool = False
    slow: float = 0.0
    held: set[str] = field(default_factory=set)
    sent: Counter[str] = field(default_factory=Counter)
    asked: list[str] = field(default_factory=list)
    peers: set[int] = field(default_factory=set)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    _faults: defaultdict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, path: str, *faults: Fault) -> None:
        """Let these faults meet the next requests for *path*, one each."""
        self._faults[path].extend(faults)

    def next_fault(self, path: str) -> Fault | None:
        """The fault that the request now being answered meets."""
        with self._lock:
            return self._faults[path].popleft() if self._faults[path] else None

    def count(self, path: str, size_bytes: int) -> None:
        """Note bytes that went out."""
        with self._lock:
            self.sent[path] += size_bytes

    def etag(self, data: bytes) -> str:
        """The mark of a content."""
        return f'{"W/" if self.weak else ""}"{hashlib.sha256(data).hexdigest()[:16]}"'


@contextmanager
def serving(files: Mapping[str, bytes] | None = None, *, host: str = "127.0.0.1") -> Iterator[Web]:
    """A running server at the address *host*; it is closed, and its threads are ended, at the end."""
    web = Web(files=dict(files or {}))
    server = _Server((host, 0), _Handler)
    server.web = web
    web.url = f"http://{host}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="web", daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    web: Web

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Answer HEAD."""
        self._answer(body=False)

    def do_GET(self) -> None:
        """Answer GET."""
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        web = self.server.web
        path = unquote(self.path.partition("?")[0]).lstrip("/")
        web.asked.append(f"{self.command} {path}")
        web.headers.append(dict(self.headers.items()))
        web.peers.add(self.client_address[1])
        self.close_connection = self.close_connection or web.close_after
        if (status := self._refusal(web, path, body=body)) is not None:
            self._short(status, web.redirects.get(path))
            return
        fault = web.next_fault(path) if body else None
        if isinstance(fault, Status):
            self._short(fault.status)
            return
        self._file(web, path, body=body, fault=fault)

    def _refusal(self, web: Web, path: str, *, body: bool) -> int | None:
        if path in web.redirects:
            return HTTPStatus.FOUND
        if web.password is not None and self.headers.get("Authorization") != _basic(web.password):
            return HTTPStatus.UNAUTHORIZED
        if not body and not web.heads:
            return HTTPStatus.METHOD_NOT_ALLOWED
        data = web.files.get(path)
        if data is None:
            return HTTPStatus.NOT_FOUND
        wanted = self.headers.get("If-Match")
        if wanted is not None and (web.weak or wanted != web.etag(data)):
            return HTTPStatus.PRECONDITION_FAILED
        return None

    def _short(self, status: int, location: str | None = None) -> None:
        self.send_response(status)
        if location is not None:
            self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self, web: Web, path: str, *, body: bool, fault: Fault | None) -> None:
        data = web.files[path]
        asked = self.headers.get("Range") if web.ranges else None
        start, end = _range(asked, len(data))
        self.send_response(HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK)
        self.send_header("ETag", web.etag(data))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        if web.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            claimed = fault.claimed_bytes if isinstance(fault, Lie) else end - start
            self.send_header("Content-Length", str(claimed))
        self.end_headers()
        if body:
            self._body(web, path, memoryview(data)[start:end], fault)

    def _body(self, web: Web, path: str, data: memoryview, fault: Fault | None) -> None:
        stop = fault.after_bytes if isinstance(fault, Cut | Stall | Swap) else len(data)
        for offset in range(0, min(stop, len(data)), CHUNK_BYTES):
            time.sleep(web.slow)
            piece = data[offset : min(offset + CHUNK_BYTES, stop)]
            while path in web.held and offset + CHUNK_BYTES >= len(data):
                time.sleep(0.02)
            if web.chunked:
                self.wfile.write(f"{len(piece):x}\r\n".encode())
            self.wfile.write(piece)
            if web.chunked:
                self.wfile.write(b"\r\n")
            web.count(path, len(piece))
        if isinstance(fault, Swap):
            web.files[path] = fault.data
        if isinstance(fault, Stall):
            self.wfile.flush()
            time.sleep(fault.seconds)
        if isinstance(fault, Cut | Stall | Lie | Swap):
            self.close_connection = True
        elif web.chunked:
            self.wfile.write(b"0\r\n\r\n")


def _range(header: str | None, size_bytes: int) -> tuple[int, int]:
    """Where a range begins, and the offset behind its end."""
    if header is None:
        return 0, size_bytes
    first, _, last = header.removeprefix("bytes=").partition("-")
    return int(first), min(size_bytes, int(last) + 1) if last else size_bytes


def _basic(pair: str) -> str:
    import base64

    return f"Basic {base64.b64encode(pair.encode()).decode()}"
