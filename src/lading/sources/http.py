"""Files of a web server as a source: one file, an archive, or a directory given by a list.

A web server has no listing that can be trusted, so a directory is named by a list of its files:

``https://host/dir/SHA256SUMS``
    A checksum file as ``sha256sum`` writes it (also ``*.sha256``, ``*SHA256SUMS.txt``): its names are relative to its
    own address, and every file is held to its digest.
``https://host/dir/`` with ``--files list.txt``
    A file of this machine with one name per line, or in the form of ``sha256sum``; ``#`` begins a comment.
``https://host/model.tar.gz``
    An archive: its members are the files. A plain one is read by ranges, where it lies, unless its own digest is known:
    then, as when it is compressed, it is one stream.

User and password of the address are sent as a header, and neither they nor a query (often a signature) are ever shown
or stored.
"""

import asyncio
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import PurePosixPath
from typing import ClassVar
from urllib.parse import quote, unquote, urljoin, urlsplit

from lading.errors import InvalidInput, InvalidReference, RangesRefused, SourceChanged, SourceMissing
from lading.sources import checksums, ranges
from lading.sources.checksums import Named
from lading.sources.connection import Connection, Get, Trust, faults, without_secrets, without_user
from lading.sources.get import RangeReader, check_status, mark
from lading.spec.pull import PLAIN, Choices
from lading.spec.ref import Reference, SourceRef
from lading.weights import archive, listing
from lading.weights.listing import Entry, Listing

UNCHECKED = "the server's certificate is not checked: anyone on the way can answer in its place"
_ASKED_AT_ONCE = 8
_BESIDE_LIMIT_BYTES = 1 << 20


class HttpSource:
    """Reads ``http://`` and ``https://``; ``choices.files`` are names below the address."""

    understands: ClassVar = frozenset({"files", "sha256", "verify_tls"})

    def __init__(self, *, choices: Choices = PLAIN) -> None:
        self._files = choices.files
        self._sha256 = choices.sha256.lower() if choices.sha256 else None
        self._headers: dict[str, str] = {}
        self._trust = Trust(verify=choices.verify_tls)
        self._reader = RangeReader(self._get, trust=self._trust)

    async def resolve(self, ref: Reference) -> Listing:
        """The one file, the files of an archive, or those of the list, each with size and mark (one HEAD each)."""
        if not isinstance(ref, SourceRef) or ref.scheme not in {"http", "https"}:
            raise InvalidReference(f"{ref} is not an http(s) address")
        found = await asyncio.to_thread(self._resolve, ref)
        unchecked = () if self._trust.verify or ref.scheme == "http" else (UNCHECKED,)
        return replace(found, notes=(*unchecked, *found.notes))

    def read_into(self, entry: Entry, offset: int, buffer: memoryview, *, end: int | None = None) -> int:
        """See `lading.ports.source.Source.read_into`."""
        place = ranges.place(entry)
        if place is None:
            return self._reader.read_into(entry, offset, buffer, end=end)
        end = min(entry.size_bytes or 0, sys.maxsize if end is None else end)
        if offset >= end:
            return 0
        start = place.start
        return self._reader.read_into(place.whole, start + offset, buffer[: end - offset], end=start + end)

    def close(self) -> None:
        """Close all connections."""
        self._reader.close()

    def _resolve(self, ref: SourceRef) -> Listing:
        url, self._headers = without_user(str(ref))
        public = SourceRef(scheme=ref.scheme, location=without_secrets(url).partition("://")[2])
        named, base = self._named(url)
        if named is None:
            try:
                return self._single(public, url)
            except SourceChanged:  # between its mark and the headers in it
                return self._single(public, url)
        if self._sha256 is not None:
            raise InvalidInput(f"{public} are several files, and --sha256 is the digest of one")
        with ThreadPoolExecutor(_ASKED_AT_ONCE, thread_name_prefix="lading-head") as pool:
            entries = list(pool.map(lambda item: self._entry(item, _below(base, item.path)), named))
        return listing.listing(public, _last_segment(base.rstrip("/")), entries)

    def _named(self, url: str) -> tuple[list[Named] | None, str]:
        """The names of the list and what they are relative to; None: *url* is one file."""
        if self._files is not None:
            named = checksums.parse_list("\n".join(self._files), "--files")
            return named, url if url.endswith("/") else f"{url}/"
        if checksums.is_list(_last_segment(url, default="")):
            shown = without_secrets(url)
            return checksums.parse_list(checksums.decoded(self._text(url), shown), shown), urljoin(url, ".")
        if urlsplit(url).path.endswith("/"):
            raise SourceMissing(
                f"{without_secrets(url)} is a directory, and a web server gives no list of its files",
                hint=f"name a checksum file in it ({without_secrets(url)}SHA256SUMS), or give --files LIST",
            )
        return None, url

    def _single(self, public: SourceRef, url: str) -> Listing:
        """The file at *url*, held to the digest that was given or that lies beside it; the members of an archive."""
        name = _last_segment(url)
        entry = self._entry(Named(name, self._sha256), url)
        sums = None
        if entry.sha256 is None and not urlsplit(url).query:  # a signature in it is for this one address
            sha256, sums = self._beside(url, name)
            entry = replace(entry, sha256=sha256)
        notes = (f"its SHA-256 is held to {sums}",) if sums else ()
        kind = archive.kind(name)
        if kind is None:
            return replace(listing.listing(public, PurePosixPath(name).stem, [entry]), notes=notes)
        entries = self._members(entry) if kind == "tar" else None
        if entries is None:
            entries = [replace(entry, archive=kind)]
        return replace(listing.listing(public, archive.stem(name), entries), notes=notes)

    def _members(self, entry: Entry) -> Sequence[Entry] | None:
        """The files of a plain tar; None where it has to be one stream.

        So it is where its digest is to be checked, or nothing says that it is the same file from range to range.
        """
        if entry.sha256 is not None or entry.etag is None or entry.size_bytes is None:
            return None

        def read_at(offset: int, buffer: memoryview, end: int) -> int:
            return self._reader.read_into(entry, offset, buffer, end=end)

        try:
            read_at(
                1, memoryview(bytearray(1)), 2
            )  # from the start on, whoever knows no ranges gives what is asked, too
            return ranges.members(entry, read_at)
        except RangesRefused:
            return None

    def _beside(self, url: str, name: str) -> tuple[str | None, str | None]:
        """The SHA-256 that a file beside *url* gives of it, and that file's address; None where there is none."""
        for address in (f"{url}.sha256", urljoin(url, "SHA256SUMS")):
            data = self._text(address, limit_bytes=_BESIDE_LIMIT_BYTES, missing=b"")
            if b"\0" not in data and len(data) <= _BESIDE_LIMIT_BYTES:
                sha256 = checksums.beside(data.decode(errors="replace"), name)
                if sha256 is not None:
                    return sha256, without_secrets(address)
        return None, None

    def _get(self, entry: Entry, method: str = "GET") -> Get:
        return Get(url=entry.key, shown=without_secrets(entry.key), headers=self._headers, method=method)

    def _entry(self, named: Named, url: str) -> Entry:
        """Ask for size and mark; by a GET where the server takes no HEAD."""
        entry = Entry(path=named.path, size_bytes=None, sha256=named.sha256, key=url)
        connection = Connection(self._trust)
        try:
            answer = connection.send(self._get(entry, "HEAD"))
            if answer.status in {403, 405, 501}:  # 403: a signature may be for GET alone
                connection.close()
                answer = connection.send(self._get(entry))
            check_status(answer.status, None, without_secrets(url), answer.headers)
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

    def _text(self, url: str, *, limit_bytes: int = checksums.SIZE_LIMIT_BYTES, missing: bytes | None = None) -> bytes:
        """What is at *url*, cut off a byte behind *limit_bytes*; *missing* where the server gives nothing there."""
        connection = Connection(self._trust)
        shown = without_secrets(url)
        try:
            answer = connection.send(Get(url=url, shown=shown, headers=self._headers))
            if missing is not None and answer.status != 200:
                return missing
            check_status(answer.status, None, shown, answer.headers)
            with faults(shown):
                return answer.read(limit_bytes + 1)
        finally:
            connection.close()


def _below(base: str, path: str) -> str:
    """The address of *path* below *base*; dots are kept as they are: whether a name may be written is decided elsewhere."""
    parts = urlsplit(base)
    return parts._replace(path=parts.path + quote(path), fragment="").geturl()


def _last_segment(url: str, default: str = "model") -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2] or default
