"""Files of a web server as a source: one file, or a directory given by a list.

A web server has no listing that can be trusted, so a directory is named by a list of its files:

``https://host/dir/SHA256SUMS``
    A checksum file as ``sha256sum`` writes it (also ``*.sha256``, ``*SHA256SUMS.txt``): its names are relative to its
    own address, and every file is held to its digest.
``https://host/dir/`` with ``--files list.txt``
    A file of this machine with one name per line, or in the form of ``sha256sum``; ``#`` begins a comment.

User and password of the address are sent as a header, and neither they nor a query (often a signature) are ever shown
or stored.
"""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar
from urllib.parse import quote, unquote, urljoin, urlsplit

from lading.errors import InvalidInput, InvalidReference, SourceError, SourceMissing
from lading.sources.connection import Connection, Get, faults, without_secrets, without_user
from lading.sources.get import RangeReader, check_status, mark
from lading.spec.pull import PLAIN, Choices
from lading.spec.ref import Reference, SourceRef
from lading.weights import listing
from lading.weights.listing import Entry, Listing

LIST_SIZE_LIMIT_BYTES = 16 << 20
_SUMS_NAME = re.compile(r"(?:.*[._-])?sha256(?:sums?)?(?:\.txt)?", re.IGNORECASE)
_SUM = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
_ASKED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Named:
    """A line of a list."""

    path: str
    sha256: str | None = None


class HttpSource:
    """Reads ``http://`` and ``https://``; ``choices.files`` are names below the address."""

    understands: ClassVar = frozenset({"files", "sha256", "verify_tls"})

    def __init__(self, *, choices: Choices = PLAIN) -> None:
        self._files = choices.files
        self._headers: dict[str, str] = {}
        self._reader = RangeReader(self._get)

    async def resolve(self, ref: Reference) -> Listing:
        """The one file, or the files of the list, each with size and mark (one HEAD each)."""
        if not isinstance(ref, SourceRef) or ref.scheme not in {"http", "https"}:
            raise InvalidReference(f"{ref} is not an http(s) address")
        return await asyncio.to_thread(self._resolve, ref)

    def read_into(self, entry: Entry, offset: int, buffer: memoryview, *, end: int | None = None) -> int:
        """See `lading.ports.Source.read_into`."""
        return self._reader.read_into(entry, offset, buffer, end=end)

    def close(self) -> None:
        """Close all connections."""
        self._reader.close()

    def _resolve(self, ref: SourceRef) -> Listing:
        url, self._headers = without_user(str(ref))
        public = SourceRef(scheme=ref.scheme, location=without_secrets(url).partition("://")[2])
        named, base = self._named(url)
        if named is None:
            name = _last_segment(url)
            return listing.listing(public, PurePosixPath(name).stem, [self._entry(Named(name), url)])
        with ThreadPoolExecutor(_ASKED_AT_ONCE, thread_name_prefix="lading-head") as pool:
            entries = list(pool.map(lambda item: self._entry(item, _below(base, item.path)), named))
        return listing.listing(public, _last_segment(base.rstrip("/")), entries)

    def _named(self, url: str) -> tuple[list[Named] | None, str]:
        """The names of the list and what they are relative to; None: *url* is one file."""
        if self._files is not None:
            return parse_list("\n".join(self._files), "--files"), url if url.endswith("/") else f"{url}/"
        if _SUMS_NAME.fullmatch(_last_segment(url, default="")):
            return parse_list(self._fetch_text(url), without_secrets(url)), urljoin(url, ".")
        if urlsplit(url).path.endswith("/"):
            raise SourceMissing(
                f"{without_secrets(url)} is a directory, and a web server gives no list of its files",
                hint=f"name a checksum file in it ({without_secrets(url)}SHA256SUMS), or give --files LIST",
            )
        return None, url

    def _get(self, entry: Entry, method: str = "GET") -> Get:
        return Get(url=entry.key, shown=without_secrets(entry.key), headers=self._headers, method=method)

    def _entry(self, named: Named, url: str) -> Entry:
        """Ask for size and mark; by a GET where the server takes no HEAD."""
        entry = Entry(path=named.path, size_bytes=None, sha256=named.sha256, key=url)
        connection = Connection()
        try:
            answer = connection.send(self._get(entry, "HEAD"))
            if answer.status in {403, 405, 501}:  # 403: a signature may be for GET alone
                connection.close()
                answer = connection.send(self._get(entry))
            check_status(answer.status, None, without_secrets(url))
            size = answer.headers.get("Content-Length", "")
            return Entry(
                path=named.path,
                size_bytes=int(size) if size.isdecimal() and not answer.chunked else None,
                etag=mark(answer.headers),
                sha256=named.sha256,
                key=url,
            )
        finally:
            connection.close()

    def _fetch_text(self, url: str) -> str:
        connection = Connection()
        shown = without_secrets(url)
        try:
            answer = connection.send(Get(url=url, shown=shown, headers=self._headers))
            check_status(answer.status, None, shown)
            with faults(shown):
                text = answer.read(LIST_SIZE_LIMIT_BYTES + 1)
        finally:
            connection.close()
        return _decoded(text, shown)


def parse_list(text: str, shown: str) -> list[Named]:
    """The files that a list names, in its order.

    Raises:
        InvalidInput: It names none, or one twice.
    """
    named = [_line(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not named:
        raise InvalidInput(f"{shown} names no files")
    seen: set[str] = set()
    for item in named:
        if item.path in seen:
            raise InvalidInput(f"{shown} names {item.path!r} twice")
        seen.add(item.path)
    return named


def _line(line: str) -> Named:
    found = _SUM.fullmatch(line)
    path = found[2] if found else line.strip()
    return Named(path.removeprefix("./"), found[1].lower() if found else None)


def _decoded(text: bytes, shown: str) -> str:
    if len(text) > LIST_SIZE_LIMIT_BYTES or b"\0" in text:
        raise SourceError(f"{shown} is not a list of files")
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise SourceError(f"{shown} is not a list of files: it is not UTF-8") from None


def _below(base: str, path: str) -> str:
    """The address of *path* below *base*; dots are kept as they are: whether a name may be written is decided elsewhere."""
    parts = urlsplit(base)
    return parts._replace(path=parts.path + quote(path), fragment="").geturl()


def _last_segment(url: str, default: str = "model") -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2] or default
