"""TLS by libcurl, for who installs ``lading[tls]``: a third less CPU than Python's own `ssl` takes (benchmarks/README.md).

libcurl connects, through a proxy where there is one, and encrypts; HTTP stays `http.client`'s. So requests, redirects and
bodies are the same code over both, and faults are said in the words of `socket` and `ssl`. What makes it cheaper: it reads
four TLS records at a time from the socket, and its OpenSSL keeps its memory between two records.
"""

import errno
import http.client
import io
import os
import re
import select
import socket
import ssl
from typing import Any
from urllib.parse import SplitResult

import pycurl

_CERTIFICATE = frozenset({pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_ISSUER_ERROR})
_VERIFIED = re.compile(r"SSL certificate (problem|OpenSSL verify result): | \(\d+\)$")
_UNKNOWN_HOST = frozenset({pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_RESOLVE_PROXY})


class CurlConnection(http.client.HTTPConnection):
    """An HTTPS connection.

    Args:
        cafile: Certificates to trust instead of the system's; *verify* False: the server's is not looked at.
        proxy: ``http://user:password@host:port`` of a proxy to go through.
    """

    default_port = http.client.HTTPS_PORT

    def __init__(
        self, parts: SplitResult, *, timeout_s: float, cafile: str | None, verify: bool, proxy: str | None = None
    ) -> None:
        super().__init__(parts.hostname or "", parts.port, timeout=timeout_s)
        self._timeout_s = timeout_s
        self._options = _options(parts, timeout_s, cafile if verify else None, verify=verify, proxy=proxy)

    def connect(self) -> None:
        """Connect, and agree on keys."""
        self.sock = _Socket(self._options, self._timeout_s)


class _Socket:
    """As much of a socket as `http.client` asks for: it stays open until also its last reader is closed."""

    def __init__(self, options: dict[int, object], timeout_s: float) -> None:
        self._curl = pycurl.Curl()
        for option, value in options.items():
            self._curl.setopt(option, value)
        self._timeout_ms = int(timeout_s * 1000)
        self._users = 1
        try:
            self._curl.perform()
        except pycurl.error as error:
            self._curl.close()
            raise _fault(error) from error
        descriptor = self._curl.getinfo(pycurl.ACTIVESOCKET)
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(descriptor, select.POLLIN)
        self._writable.register(descriptor, select.POLLOUT)

    def sendall(self, data: bytes | memoryview) -> None:
        """Send all of *data*."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._curl.send(rest) :]
            except BlockingIOError:
                self._wait(self._writable)
            except pycurl.error as error:
                raise self._broken(error) from error

    def receive(self, buffer: memoryview) -> int:
        """Bytes into *buffer*, all that are there and at least one; 0 at the end of the connection."""
        got = 0
        while got < len(buffer):
            try:
                count = self._curl.recv_into(buffer[got:])
            except BlockingIOError:
                if got:
                    break
                self._wait(self._readable)
                continue
            except pycurl.error as error:
                if got:
                    break  # the next call meets it again
                raise self._broken(error) from error
            if count == 0:
                break
            got += count
        return got

    def makefile(self, _mode: str) -> io.BufferedReader:
        """A reader of what comes."""
        self._users += 1
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """One user less."""
        self._users -= 1
        if self._users == 0:
            self._curl.close()

    def _wait(self, poll: select.poll) -> None:
        if not poll.poll(self._timeout_ms):
            raise TimeoutError("timed out")

    def _broken(self, error: pycurl.error) -> OSError:
        number = self._curl.getinfo(pycurl.OS_ERRNO) or errno.ECONNRESET
        return OSError(number, os.strerror(number), str(error))


class _Reader(io.RawIOBase):
    """The body, as a file."""

    def __init__(self, source: _Socket) -> None:
        self._socket = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._socket.receive(memoryview(buffer))

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._socket.close()


def _options(
    parts: SplitResult, timeout_s: float, cafile: str | None, *, verify: bool, proxy: str | None
) -> dict[int, object]:
    """What is set on a handle; nothing is left to libcurl's own reading of the environment."""
    options: dict[int, object] = {
        pycurl.URL: f"https://{parts.netloc.rpartition('@')[2]}/",
        pycurl.CONNECT_ONLY: 1,
        pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
        pycurl.NOSIGNAL: 1,
        pycurl.CONNECTTIMEOUT_MS: int(timeout_s * 1000),
        pycurl.SSL_VERIFYPEER: int(verify),
        pycurl.SSL_VERIFYHOST: 2 if verify else 0,
        pycurl.PROXY: proxy or "",
    }
    if proxy:
        options |= {pycurl.HTTPPROXYTUNNEL: 1, pycurl.NOPROXY: ""}
    return options | (_trusted(cafile) if verify else {})


def _trusted(cafile: str | None) -> dict[int, object]:
    """*cafile*, or what Python's `ssl` trusts: ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, else the system's."""
    if cafile is not None:
        return {pycurl.CAINFO: cafile}
    paths = ssl.get_default_verify_paths()
    found: dict[int, object] = {pycurl.CAINFO: paths.cafile, pycurl.CAPATH: paths.capath}
    return {option: path for option, path in found.items() if path}


def _fault(error: pycurl.error) -> OSError:
    """Why there is no connection, as `socket` and `ssl` say it."""
    code, text = error.args[0], str(error.args[1])
    if code in _CERTIFICATE:
        refused = ssl.SSLCertVerificationError(1, text)
        refused.verify_message = _VERIFIED.sub("", text)
        return refused
    if code in _UNKNOWN_HOST:
        return socket.gaierror(socket.EAI_NONAME, text)
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return TimeoutError(text)
    if code == pycurl.E_COULDNT_CONNECT:
        return ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    return ssl.SSLError(1, text)
