"""Bytes by HTTP GET, for the sources that speak it: a kept connection per thread, and no copy on the way.

The body goes from the socket straight into the caller's buffer. A response stays open between two sequential reads of
one entry, so a file is one request; a read at another offset asks for a range. Every answer's mark (its ETag) is
compared with the listing's: bytes of two contents are never mixed.

What goes out may carry secrets (a signature, a password in the URL): messages show `Get.shown` instead.
"""

import base64
import http.client
import re
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

import lading
from lading.errors import (
    RangesRefused,
    SourceBusy,
    SourceChanged,
    SourceDenied,
    SourceError,
    SourceMissing,
    SourceTransient,
)
from lading.sources.per_thread import PerThread
from lading.weights.listing import Entry

SOCKET_TIMEOUT_S = 5.0
FILL_S = 1.0
"""A read gives what it has after this long, so that a slow server cannot keep a caller from its cancel flag."""
REDIRECTS = 5
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECT = frozenset({301, 302, 303, 307, 308})
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,60})</Code>")
#: In an answer of 400, what object stores say when it is the credentials that are wrong.
_CREDENTIAL_CODES = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "AuthorizationHeaderMalformed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Which servers are believed: by *cafile* (None: the system's certificates), or any."""

    cafile: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Get:
    """One request to send.

    Attributes:
        url: Where; may carry secrets.
        shown: What messages say instead.
        method: ``HEAD`` to learn size and mark only.
    """

    url: str = field(repr=False)
    shown: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: str = "GET"


class RangeReader:
    """`read_into` over HTTP. Thread-safe: each thread has its own connection.

    Args:
        request: The request for an entry; called for each new response, so that a signature is fresh.
        cafile: Certificates to trust instead of the system's.
        verify: Whether the server's certificate is checked at all.
    """

    def __init__(self, request: Callable[[Entry], Get], *, cafile: str | None = None, verify: bool = True) -> None:
        self._request = request
        self._trust = Trust(cafile=cafile, verify=verify)
        self._connections: PerThread[Connection] = PerThread()

    def read_into(self, entry: Entry, offset: int, buffer: memoryview, *, end: int | None = None) -> int:
        """See `lading.ports.Source.read_into`."""
        if entry.size_bytes is not None and offset >= entry.size_bytes:
            return 0
        connection = self._connections.get() or self._connections.put(Connection(self._trust))
        body = connection.body
        if body is None or not body.goes_on(entry.key, offset):
            body = self._open(connection, entry, offset, end)
        try:
            count = body.fill(buffer)
        except BaseException:
            connection.close()
            raise
        if body.broken:
            connection.close()
        return count

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()

    def _open(self, connection: "Connection", entry: Entry, offset: int, end: int | None) -> "Body":
        get = self._request(entry)
        headers = dict(get.headers)
        if end is not None and end >= (entry.size_bytes or end + 1):
            end = None
        if offset or end is not None:
            headers["Range"] = f"bytes={offset}-{'' if end is None else end - 1}"
        if entry.etag and entry.etag.startswith('"'):
            headers["If-Match"] = entry.etag  # a weak ETag never matches; it is compared in the answer
        answer = connection.send(get, headers)
        try:
            _check_status(answer, get.shown)
            _check_same(answer, entry, offset, get.shown)
            if answer.status == 200 and offset and end is not None:
                raise RangesRefused(f"{get.shown} is given whole only: its server knows no ranges")
            body = Body(entry.key, offset, answer, get.shown)
            if answer.status == 200:
                body.skip(offset)  # the server knows no ranges
        except BaseException:
            connection.close()
            raise
        connection.body = body
        return body


class Body:
    """The body of one answer, read in order.

    Attributes:
        position: Offset in the file of the next byte.
        broken: No more can be read from it.
    """

    def __init__(self, key: str, start: int, answer: http.client.HTTPResponse, shown: str) -> None:
        self.key = key
        self.position = start
        self.broken = False
        self._whole = answer.status == 200
        self._answer = answer
        self._shown = shown

    def goes_on(self, key: str, offset: int) -> bool:
        """Whether what is read next is the byte at *offset* of *key*; the end of a whole file is read again and again."""
        return (self.key, self.position) == (key, offset) and (self._whole or not self._answer.isclosed())

    def fill(self, buffer: memoryview) -> int:
        """Read until *buffer* is full, the body ends, or `FILL_S` passed; 0 only at the end.

        A fault after some bytes gives these bytes; the next read meets the fault again, or a healed server.
        """
        got = 0
        until = time.monotonic() + FILL_S
        while got < len(buffer):
            try:
                with faults(self._shown):
                    count = self._receive(buffer[got:])
            except SourceTransient:
                self.broken = True
                if got == 0:
                    raise
                break
            got += count
            if count == 0 or time.monotonic() >= until:
                break
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
                raise SourceTransient(f"{self._shown} ended at byte {self.position}, before {count}")

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


class Connection:
    """One connection of one thread, kept while requests go to the same place."""

    def __init__(self, trust: Trust | None = None) -> None:
        self.body: Body | None = None
        self._trust = trust or Trust()
        self._origin: tuple[str, str] | None = None
        self._http: http.client.HTTPConnection | None = None
        self._answer: http.client.HTTPResponse | None = None

    def send(self, get: Get, headers: Mapping[str, str] | None = None) -> http.client.HTTPResponse:
        """The answer to *get*, redirects followed.

        Raises:
            SourceTransient, SourceMissing, SourceError: The server cannot be reached, or redirects without end.
        """
        self.body = None
        sent = {"User-Agent": f"lading/{lading.__version__}", **(get.headers if headers is None else headers)}
        url = get.url
        for _ in range(REDIRECTS + 1):
            answer = self._exchange(get.method, url, sent, get.shown)
            target = answer.headers.get("Location")
            if answer.status not in _REDIRECT or target is None:
                return answer
            answer.read()
            url, sent = _redirected(url, target, sent, get.shown)
        raise SourceError(f"{get.shown} redirects more than {REDIRECTS} times")

    def close(self) -> None:
        """Close it; the next request opens it again."""
        self.body = self._answer = None
        if self._http is not None:
            self._http.close()
            self._http = None

    def _exchange(self, method: str, url: str, headers: Mapping[str, str], shown: str) -> http.client.HTTPResponse:
        """Send one request; on a kept connection that the server has closed in the meantime, once again on a new one."""
        parts = urlsplit(url)
        if self._origin != parts[:2] or self._answer is None or not self._answer.isclosed():
            self.close()
        kept = self._http is not None
        with faults(shown):
            try:
                self._answer = _request(self._opened(parts), method, parts, headers)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.close()
                if not kept:
                    raise
                self._answer = _request(self._opened(parts), method, parts, headers)
        return self._answer

    def _opened(self, parts: SplitResult) -> http.client.HTTPConnection:
        if self._http is None:
            self._http, self._origin = _connection(parts, self._trust), parts[:2]
        return self._http


@contextmanager
def faults(shown: str) -> Iterator[None]:
    """What the network can do, in our words."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise SourceError(
            f"the certificate of {shown} cannot be trusted: {error.verify_message}",
            hint="name your CA bundle in SSL_CERT_FILE",
        ) from error
    except socket.gaierror as error:
        raise SourceTransient(f"{shown}: its host name is not known here", hint="check the name and the DNS") from error
    except TimeoutError as error:
        raise SourceTransient(f"{shown} was silent for {SOCKET_TIMEOUT_S:.0f} s") from error
    except http.client.IncompleteRead as error:
        raise SourceTransient(f"{shown} closed the connection before the end of the file") from error
    except (http.client.HTTPException, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SourceTransient(
            f"{shown} cannot be reached: {reason}", hint="is the address right, is the server up?"
        ) from error


def mark(headers: http.client.HTTPMessage) -> str | None:
    """The server's mark of this content: its ETag, else the time of its last change."""
    return headers.get("ETag") or headers.get("Last-Modified")


def check_status(status: int, code: str | None, shown: str) -> None:
    """Raise what *status* means, unless it is a success; *code* is an object store's own word for it."""
    said = f"{status}{f' {code}' if code else ''}"
    if 200 <= status < 300:
        return
    if status == 412:
        raise changed(shown)
    if status in {401, 403, 407} or code in _CREDENTIAL_CODES:
        raise SourceDenied(f"{shown} refused the request ({said})", hint="check the credentials and what they may read")
    if status in {404, 410}:
        raise SourceMissing(f"{shown} does not exist ({said})", hint="check the address")
    if status in {429, 503}:
        raise SourceBusy(f"{shown} answered {said}", hint="the server asks for fewer requests; try again later")
    if status in _TRANSIENT:
        raise SourceTransient(f"{shown} answered {said}", hint="the server is busy or failing; try again later")
    raise SourceError(f"{shown} answered {said}")


def changed(shown: str) -> SourceChanged:
    """The error of content that is not the listing's any more."""
    return SourceChanged(
        f"{shown} changed while it was read", hint="run the same command again: it takes the source as it is then"
    )


def without_secrets(url: str) -> str:
    """*url* without user, password, query and fragment: any of these may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{_host(parts)}{parts.path}" + ("?…" if parts.query else "")


def without_user(url: str) -> tuple[str, dict[str, str]]:
    """*url* without ``user:password@``, and the header that says the same."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    basic = base64.b64encode(pair.encode()).decode()
    return parts._replace(netloc=_host(parts)).geturl(), {"Authorization": f"Basic {basic}"}


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _check_status(answer: http.client.HTTPResponse, shown: str) -> None:
    if 200 <= answer.status < 300:
        return
    with faults(shown):
        found = _CODE.search(answer.read(4096))
    check_status(answer.status, found[1].decode() if found else None, shown)


def _check_same(answer: http.client.HTTPResponse, entry: Entry, offset: int, shown: str) -> None:
    """That the answer is about the content listed: its mark, its size, and where it begins."""
    if entry.etag is not None and mark(answer.headers) != entry.etag:
        raise changed(shown)
    begins, size = 0, answer.length
    if answer.status == 206:
        begins, size = _content_range(answer.headers.get("Content-Range", ""))
        if begins != offset:
            raise SourceError(f"{shown} was asked for bytes from {offset} and answered with bytes from {begins}")
    if None not in (size, entry.size_bytes) and size != entry.size_bytes:
        raise changed(shown)


def _content_range(text: str) -> tuple[int, int | None]:
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", text.strip())
    if match is None:
        return -1, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _redirected(url: str, target: str, headers: Mapping[str, str], shown: str) -> tuple[str, dict[str, str]]:
    """Where a redirect leads, and the headers that may go there: never a password to another host."""
    new = urljoin(url, quote(target, safe="%/:=&?~#+!$,;'@()*[]"))
    old_parts, new_parts = urlsplit(url), urlsplit(new)
    if new_parts.scheme not in {"http", "https"} or (old_parts.scheme, new_parts.scheme) == ("https", "http"):
        raise SourceError(f"{shown} redirects to {without_secrets(new)}, which is not as safe")
    if (old_parts.scheme, old_parts.netloc) == (new_parts.scheme, new_parts.netloc):
        return new, dict(headers)
    return new, {name: value for name, value in headers.items() if name != "Authorization"}


def _request(
    connection: http.client.HTTPConnection, method: str, parts: SplitResult, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (f"?{parts.query}" if parts.query else "")
    if isinstance(connection, _ThroughProxy):
        target = f"{parts.scheme}://{_host(parts)}{target}"
    connection.request(method, target, headers={"Host": _host(parts), **headers})
    return connection.getresponse()


class _ThroughProxy(http.client.HTTPConnection):
    """A connection to a plain HTTP proxy, which wants the whole URL in the request line."""


def _connection(parts: SplitResult, trust: Trust) -> http.client.HTTPConnection:
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SourceError(f"{without_secrets(parts.geturl())} is not an http(s) address")
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname):
        return _proxied(parts, urlsplit(proxy if "//" in proxy else f"http://{proxy}"), trust)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=SOCKET_TIMEOUT_S, context=_context(trust)
        )
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=SOCKET_TIMEOUT_S)


@lru_cache
def _context(trust: Trust) -> ssl.SSLContext:
    """Made once: reading all certificates takes longer than a small file does."""
    context = ssl.create_default_context(cafile=trust.cafile)
    if not trust.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _proxied(parts: SplitResult, proxy: SplitResult, trust: Trust) -> http.client.HTTPConnection:
    host = proxy.hostname or ""
    _, login = without_user(proxy.geturl())
    headers = {"Proxy-Authorization": login["Authorization"]} if login else {}
    if parts.scheme == "http":
        return _ThroughProxy(host, proxy.port, timeout=SOCKET_TIMEOUT_S)
    tunnel = http.client.HTTPSConnection(host, proxy.port, timeout=SOCKET_TIMEOUT_S, context=_context(trust))
    tunnel.set_tunnel(parts.hostname or "", parts.port, headers)
    return tunnel
