"""One kept HTTP connection: redirects, proxies, certificates, and what a network can do, in our words.

What goes out may carry secrets (a signature, a password in the URL): messages show `Get.shown` instead, and to another
place than the one that was asked for no secret follows.
"""

import base64
import http.client
import os
import socket
import ssl
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

import lading
from lading.errors import SourceError, SourceTransient
from lading.sources.answer import Answer

if TYPE_CHECKING:
    from lading.sources.curl import CurlConnection

SOCKET_TIMEOUT_S = 5.0
REDIRECTS = 5
_REDIRECT = frozenset({301, 302, 303, 307, 308})
#: What is sent on to another place than the one that was asked for: none of these is a secret.
_FOR_ANYONE = frozenset({"user-agent", "accept", "range", "if-match"})
_REDIRECT_BODY_BYTES = 1 << 16


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
        body: What is sent with it, in pieces, each time anew: every piece has a socket's time-out of its own. Its length is
            among the *headers*.
    """

    url: str = field(repr=False)
    shown: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: str = "GET"
    body: Callable[[], Iterator[memoryview]] | None = field(default=None, repr=False)


class Connection:
    """One connection of one thread, kept while requests go to the same place."""

    def __init__(self, trust: Trust | None = None) -> None:
        self._trust = trust or Trust()
        self._origin: tuple[str, str] | None = None
        self._http: http.client.HTTPConnection | None = None
        self._answer: http.client.HTTPResponse | None = None

    def send(self, get: Get, headers: Mapping[str, str] | None = None) -> http.client.HTTPResponse:
        """The answer to *get*, redirects followed.

        Raises:
            SourceTransient, SourceMissing, SourceError: The server cannot be reached, or redirects without end.
        """
        return self._followed(get, get.headers if headers is None else headers, leave=True)[0]

    def leads_to(self, get: Get) -> tuple[http.client.HTTPResponse, str]:
        """The answer to *get*, redirects followed where they stay at the place asked; and its address, or where it leads to.

        Raises:
            As `send`.
        """
        return self._followed(get, get.headers, leave=False)

    def close(self) -> None:
        """Close it; the next request opens it again."""
        self._answer = None
        if self._http is not None:
            self._http.close()
            self._http = None

    def _followed(self, get: Get, headers: Mapping[str, str], *, leave: bool) -> tuple[http.client.HTTPResponse, str]:
        sent = {"User-Agent": f"lading/{lading.__version__}", **headers}
        url = get.url
        for _ in range(REDIRECTS + 1):
            answer = self._exchange(get, url, sent)
            target = answer.headers.get("Location")
            if answer.status not in _REDIRECT or target is None:
                return answer, url
            with faults(get.shown):
                answer.read(_REDIRECT_BODY_BYTES)
            there, sent = _redirected(url, target, sent, get.shown)
            if not leave and urlsplit(there)[:2] != urlsplit(url)[:2]:
                return answer, there
            url = there
        raise SourceError(f"{get.shown} redirects more than {REDIRECTS} times")

    def _exchange(self, get: Get, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """Send one request; on a kept connection that the server has closed in the meantime, once again on a new one."""
        parts = urlsplit(url)
        if self._origin != parts[:2] or self._answer is None or not self._answer.isclosed():
            self.close()
        kept = self._http is not None
        with faults(get.shown):
            try:
                self._answer = _request(self._opened(parts), get, parts, headers)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.close()
                if not kept:
                    raise
                self._answer = _request(self._opened(parts), get, parts, headers)
        return self._answer

    def _opened(self, parts: SplitResult) -> http.client.HTTPConnection:
        if self._http is None:
            self._http, self._origin = _connection(parts, self._trust), parts[:2]
            self._http.response_class = Answer
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


def _redirected(url: str, target: str, headers: Mapping[str, str], shown: str) -> tuple[str, dict[str, str]]:
    """Where a redirect leads, and the headers that may go there: never a password or a token to another place."""
    try:
        new = urljoin(url, quote(target, safe="%/:=&?~#+!$,;'@()*[]"))
        old_parts, new_parts = urlsplit(url), urlsplit(new)
        new_parts.port  # noqa: B018 - raises where it is none
    except ValueError as error:
        raise SourceError(f"{shown} redirects to what is no address") from error
    if new_parts.scheme not in {"http", "https"} or (old_parts.scheme, new_parts.scheme) == ("https", "http"):
        raise SourceError(f"{shown} redirects to {without_secrets(new)}, which is not as safe")
    if (old_parts.scheme, old_parts.netloc) == (new_parts.scheme, new_parts.netloc):
        return new, dict(headers)
    return new, {name: value for name, value in headers.items() if name.lower() in _FOR_ANYONE}


def _request(
    connection: http.client.HTTPConnection, get: Get, parts: SplitResult, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (f"?{parts.query}" if parts.query else "")
    if isinstance(connection, _ThroughProxy):
        target = f"{parts.scheme}://{_host(parts)}{target}"
        headers = {**connection.login, **headers}
    headers = {"Host": _host(parts), **headers}
    if get.body is None:
        connection.request(get.method, target, headers=headers)
        return connection.getresponse()
    with suppress(ConnectionResetError, BrokenPipeError):  # refused before all of it was taken: the answer says why
        connection.request(get.method, target, body=get.body(), headers=headers)
    return connection.getresponse()


class _ThroughProxy(http.client.HTTPConnection):
    """A connection to a plain HTTP proxy, which wants the whole URL in the request line, and perhaps a login."""

    login: Mapping[str, str]


def _connection(parts: SplitResult, trust: Trust) -> http.client.HTTPConnection:
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SourceError(f"{without_secrets(parts.geturl())} is not an http(s) address")
    proxy = _proxy(parts)
    if parts.scheme == "https" and (by_libcurl := libcurl()):
        through = f"http://{proxy.netloc}" if proxy else None
        return by_libcurl(parts, timeout_s=SOCKET_TIMEOUT_S, cafile=trust.cafile, verify=trust.verify, proxy=through)
    if proxy:
        return _proxied(parts, proxy, trust)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=SOCKET_TIMEOUT_S, context=_context(trust)
        )
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=SOCKET_TIMEOUT_S)


@lru_cache
def libcurl() -> "type[CurlConnection] | None":
    """TLS by libcurl, where it is installed (``lading[tls]``)."""
    try:
        from lading.sources.curl import CurlConnection
    except ImportError:
        return None
    return CurlConnection


def _proxy(parts: SplitResult) -> SplitResult | None:
    """The proxy that the environment names for this address.

    On Linux the two variables are asked for by name: to look through all of them is a race with who sets one.
    """
    names = (f"{parts.scheme}_proxy", f"{parts.scheme}_proxy".upper())
    if sys.platform == "linux" and not any(os.environ.get(name) for name in names):
        return None
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urlsplit(proxy if "//" in proxy else f"http://{proxy}")


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
        through = _ThroughProxy(host, proxy.port, timeout=SOCKET_TIMEOUT_S)
        through.login = headers
        return through
    tunnel = http.client.HTTPSConnection(host, proxy.port, timeout=SOCKET_TIMEOUT_S, context=_context(trust))
    tunnel.set_tunnel(parts.hostname or "", parts.port, headers)
    return tunnel
