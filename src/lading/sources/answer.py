"""An answer to an HTTP request whose headers are read quickly: `http.client` has the parser for e-mail read them.

That takes a quarter of a millisecond, as long as all else of a small file's request. Bodies stay `http.client`'s.
"""

import http.client
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

MOST_HEADERS = 100
LONGEST_LINE_BYTES = 1 << 16
_NO_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Headers(http.client.HTTPMessage):
    """The headers of an answer, by name in any case; of those that come twice, `get` gives the first."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__()
        self._headers = pairs
        self._values = {name.lower(): value for name, value in reversed(pairs)}

    def get(self, name: str, failobj: Any = None) -> Any:
        """The value of *name*."""
        return self._values.get(name.lower(), failobj)


class Answer(http.client.HTTPResponse):
    """As its parent, but for how the headers are read."""

    if TYPE_CHECKING:  # what the parent has since it was written, and no stub tells
        _method: str | None

        def _read_status(self) -> tuple[str, int, str]: ...

        def _check_close(self) -> bool: ...

    def begin(self) -> None:
        """Read status and headers (RFC 9112)."""
        version, status, reason = self._read_status()
        while status == HTTPStatus.CONTINUE:
            list(self._lines())
            version, status, reason = self._read_status()
        if not version.startswith("HTTP/"):
            raise http.client.UnknownProtocol(version)
        self.code = self.status = status
        self.reason = reason.strip()
        self.version = 10 if version in {"HTTP/1.0", "HTTP/0.9"} else 11
        self.headers = self.msg = Headers(list(_pairs(self._lines())))
        self.chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.length = None if self.chunked else self._told_length()
        if status in _NO_BODY or 100 <= status < 200 or self._method == "HEAD":
            self.length = 0
        self.will_close = self._check_close() or (not self.chunked and self.length is None)

    def _lines(self) -> Iterator[str]:
        for _ in range(MOST_HEADERS + 1):
            line = self.fp.readline(LONGEST_LINE_BYTES + 1)
            if len(line) > LONGEST_LINE_BYTES:
                raise http.client.LineTooLong("header line")
            if line in {b"\r\n", b"\n", b""}:
                return
            yield line.decode("latin-1")
        raise http.client.HTTPException(f"more than {MOST_HEADERS} headers")

    def _told_length(self) -> int | None:
        told: str = self.headers.get("content-length", "")
        return int(told) if told.isdecimal() and told.isascii() else None


def _pairs(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Names and values; a line that is neither, or goes on with the one before (obsolete), is left out."""
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and name and not name[0].isspace():
            yield name, value.strip()
