"""A model hub on loopback, with the real one's layout and habits: an API, and a "CDN" beside it on another port.

A repository has commits, branches and tags. Small files come from the hub itself, marked by their git blob; big ones (LFS, Xet) by a
redirect to the CDN, whose signed links end. What is private or gated is refused as the real hub refuses it. The real client
(`huggingface_hub`) works against it: `HF_ENDPOINT` is its `Hub.url`. Files of a folder are served from there by ``sendfile``. ::

    with serving() as hub:
        hub.repository("acme/tiny").commit({"config.json": b"{}", "model.safetensors": data})
        hub.repository("acme/big").commit_folder(folder)
"""

import json
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any, BinaryIO, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

from lading.testing.hub_repository import HubFile, Repository, git_blob, sha256_of

_SENT_AT_ONCE = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that came: to the hub, or to the CDN."""

    cdn: bool
    method: str
    path: str
    headers: Mapping[str, str]
    range: str | None


@dataclass(slots=True, kw_only=True)
class Hub:
    """A running hub.

    Attributes:
        url: Of its API, and `cdn` of what it redirects to.
        repositories: By id.
        tokens: All that are valid.
        page_files: Files on one page of a list.
        link_life_s: How long a link to the CDN is good.
        direct: Big files come without a redirect, as from many mirrors.
        xet: Big files are said to be in Xet, too; every client may take them from the CDN.
        asked: All requests.
        sent_bytes: Of bodies of files.
    """

    url: str = ""
    cdn: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    page_files: int = 1000
    link_life_s: int = 3600
    direct: bool = False
    xet: bool = False
    asked: list[Asked] = field(default_factory=list)
    sent_bytes: int = 0
    _busy: list[int] = field(default_factory=list)
    _links: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def repository(self, name: str, *, private: bool = False, gated: bool = False) -> Repository:
        """A new, empty repository; *name* is ``org/name``."""
        self.repositories[name] = Repository(id=name, private=private, gated=gated)
        return self.repositories[name]

    def token(self, *repositories: Repository) -> str:
        """A new token, which may read *repositories*."""
        token = f"hf_{os.urandom(17).hex()}"
        self.tokens.add(token)
        for repository in repositories:
            repository.readers.add(token)
        return token

    def be_busy(self, times: int, *, retry_after_s: int = 1) -> None:
        """Answer the next *times* requests with 429."""
        self._busy = [retry_after_s] * times

    def end_links(self) -> None:
        """No link to the CDN that was given so far is good any more."""
        self._links += 1

    def next_busy(self) -> int | None:
        """Seconds that the request now being answered is told to wait."""
        with self._lock:
            return self._busy.pop() if self._busy else None

    def note(self, asked: Asked) -> None:
        """Remember a request."""
        with self._lock:
            self.asked.append(asked)

    def count(self, size_bytes: int) -> None:
        """Note bytes of a file that went out."""
        with self._lock:
            self.sent_bytes += size_bytes

    def link(self, repository: Repository, file: HubFile, path: str) -> str:
        """A link to the CDN for *file*; whoever has it may read, until it ends."""
        ends = int(time.time()) + self.link_life_s
        place = f"/{sha256_of(repository.id.encode())[:24]}/{file.sha256}"
        name = quote(PurePosixPath(path).name)
        query = f"X-Amz-Expires={self.link_life_s}&response-content-disposition=inline%3B+filename%3D%22{name}%22"
        return f"{self.cdn}{place}?{query}&Expires={ends}&Signature={self.signature(place, ends)}&Key-Pair-Id=K1"

    def signature(self, place: str, ends: int) -> str:
        """Of a link."""
        return sha256_of(f"{id(self)} {self._links} {place} {ends}".encode())

    def stored(self, sha256: str) -> HubFile | None:
        """The LFS file of that content, of any repository."""
        every = (
            file for one in self.repositories.values() for files in one.commits.values() for file in files.values()
        )
        return next((file for file in every if file.lfs and file.sha256 == sha256), None)


@contextmanager
def serving() -> Iterator[Hub]:
    """A running hub, without repositories; its threads are ended at the end."""
    hub = Hub()
    servers = [_Server(("127.0.0.1", 0), handler) for handler in (_Api, _Cdn)]
    hub.url, hub.cdn = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    threads = []
    for server in servers:
        server.hub = hub
        threads.append(threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True))
        threads[-1].start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


# ---------------------------------------------------------------------------------------------------------- requests


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    hub: Hub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error here."""


class _Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: HTTPStatus, code: str | None, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Code": code, "X-Error-Message": message} if code else {"X-Error-Message": message}
        self.headers.update({name.replace("_", "-"): value for name, value in headers.items()})


class _Handler(BaseHTTPRequestHandler, ABC):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    cdn: ClassVar[bool]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Answer HEAD."""
        self._handle()

    def do_GET(self) -> None:
        """Answer GET."""
        self._handle()

    def _handle(self) -> None:
        hub = self.server.hub
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(
            cdn=self.cdn, method=self.command, path=self.path, headers=headers, range=self.headers.get("Range")
        )
        hub.note(asked)
        try:
            if (wait_s := hub.next_busy()) is not None:
                raise _Refused(HTTPStatus.TOO_MANY_REQUESTS, None, "Too many requests", Retry_After=str(wait_s))
            self._answer(hub)
        except _Refused as refused:
            self._short(refused.status, {**refused.headers}, json.dumps({"error": str(refused)}).encode())

    @abstractmethod
    def _answer(self, hub: Hub) -> None: ...

    def _short(self, status: HTTPStatus, headers: Mapping[str, str | None], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _file(self, file: HubFile, headers: Mapping[str, str]) -> None:
        """The file, or the range of it that was asked for."""
        start, end = _range(self.headers.get("Range"), file.size_bytes)
        if start >= max(1, file.size_bytes):
            raise _Refused(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, None, "no such range")
        partial = self.headers.get("Range") is not None
        self.send_response(HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK)
        for name, value in {**headers, "Accept-Ranges": "bytes", "Content-Length": str(end - start)}.items():
            self.send_header(name, value)
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{file.size_bytes}")
        self.end_headers()
        if self.command != "HEAD":
            self._body(file, start, end)

    def _body(self, file: HubFile, start: int, end: int) -> None:
        if file.place is None:
            self.wfile.write(memoryview(file.data)[start:end])
            self.server.hub.count(end - start)
            return
        with file.place.open("rb") as there:
            _send(there, self.connection.fileno(), start, end, self.server.hub)


class _Api(_Handler):
    """Lists, and files by name."""

    cdn = False

    def _answer(self, hub: Hub) -> None:
        parts = urlsplit(self.path)
        path = parts.path.removeprefix("/")
        if path.startswith("api/models/"):
            name, what, rest = _cut(path.removeprefix("api/models/"), ("revision", "tree"))
            repository = self._repository(hub, name)
            commit = self._commit(repository, unquote(rest.partition("/")[0]) or "main")
            if what == "tree":
                self._tree(hub, repository, commit, unquote(rest.partition("/")[2]), parse_qs(parts.query))
            else:
                self._info(repository, commit)
            return
        name, what, rest = _cut(path, ("resolve",))
        if not what:
            raise _Refused(HTTPStatus.NOT_FOUND, None, "Sorry, we can't find the page you are looking for.")
        repository = self._repository(hub, name)
        revision, _, inside = rest.partition("/")
        self._check_gate(repository)
        commit = self._commit(repository, unquote(revision))
        self._resolve(hub, repository, commit, unquote(inside))

    def _token(self) -> str | None:
        said = self.headers.get("Authorization")
        return said.removeprefix("Bearer ") if said else None

    def _repository(self, hub: Hub, name: str) -> Repository:
        token = self._token()
        if token is not None and token not in hub.tokens:
            raise _Refused(HTTPStatus.UNAUTHORIZED, None, "Invalid credentials in Authorization header")
        repository = hub.repositories.get(unquote(name))
        if repository is None or (repository.private and token not in repository.readers):
            if token is None:  # the real hub does not tell who is not known whether there is one
                raise _Refused(HTTPStatus.UNAUTHORIZED, "RepoNotFound", "Invalid username or password.")
            raise _Refused(HTTPStatus.NOT_FOUND, "RepoNotFound", "Repository not found")
        if repository.disabled:
            raise _Refused(HTTPStatus.FORBIDDEN, None, "Access to this resource is disabled.")
        return repository

    def _check_gate(self, repository: Repository) -> None:
        token = self._token()
        if not repository.gated or token in repository.readers:
            return
        said = f"Access to model {repository.id} is restricted"
        if token is None:
            raise _Refused(HTTPStatus.UNAUTHORIZED, "GatedRepo", f"{said}. Please log in.")
        raise _Refused(HTTPStatus.FORBIDDEN, "GatedRepo", f"{said} and you are not in the authorized list.")

    def _commit(self, repository: Repository, revision: str) -> str:
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            raise _Refused(HTTPStatus.NOT_FOUND, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def _info(self, repository: Repository, commit: str) -> None:
        self._json(
            {
                "_id": commit[:24],
                "id": repository.id,
                "modelId": repository.id,
                "sha": commit,
                "private": repository.private,
                "gated": "manual" if repository.gated else False,
                "disabled": repository.disabled,
                "tags": [],
                "downloads": 0,
                "siblings": [{"rfilename": path} for path in sorted(repository.commits[commit])],
            }
        )

    def _tree(self, hub: Hub, repository: Repository, commit: str, below: str, query: Mapping[str, list[str]]) -> None:
        files = repository.commits[commit]
        recursive = query.get("recursive", ["false"])[0].lower() in {"true", "1"}
        lines = [file.listed(path, xet=hub.xet) for path, file in files.items()]
        lines += [
            {"type": "directory", "oid": git_blob(name.encode()), "size": 0, "path": name} for name in _folders(files)
        ]
        inside = [line for line in lines if not below or line["path"].startswith(f"{below}/")]
        if not inside and below:
            raise _Refused(HTTPStatus.NOT_FOUND, "EntryNotFound", f"{below} does not exist on {commit}")
        if not recursive:
            depth = below.count("/") + 1 if below else 0
            inside = [line for line in inside if line["path"].count("/") == depth]
        inside.sort(key=lambda line: str(line["path"]))
        begin = int(query.get("cursor", ["0"])[0])
        page = inside[begin : begin + hub.page_files]
        link = None
        if begin + len(page) < len(inside):
            there = urlsplit(self.path).path
            link = f'<{hub.url}{there}?recursive={recursive}&cursor={begin + len(page)}>; rel="next"'
        self._json(page, Link=link)

    def _json(self, document: object, **headers: str | None) -> None:
        told = {"Content-Type": "application/json; charset=utf-8", **headers}
        self._short(HTTPStatus.OK, told, json.dumps(document).encode())

    def _resolve(self, hub: Hub, repository: Repository, commit: str, path: str) -> None:
        file = repository.commits[commit].get(path)
        if file is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "EntryNotFound", "Entry not found", X_Repo_Commit=commit)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{file.sha256 if file.lfs else file.oid}"'}
        if not file.lfs or hub.direct:
            self._file(file, headers)
            return
        location = hub.link(repository, file, path)
        told = {
            "X-Repo-Commit": commit,
            "X-Linked-Size": str(file.size_bytes),
            "X-Linked-ETag": f'"{file.sha256}"',
            "Location": location,
        }
        if hub.xet:
            told["X-Xet-Hash"] = file.sha256[::-1]
            told["Link"] = f'<{hub.url}/api/models/{repository.id}/xet-read-token/{commit}>; rel="xet-auth"'
        self._short(HTTPStatus.FOUND, told, f"Found. Redirecting to {location}".encode())


class _Cdn(_Handler):
    """Content by its SHA-256, to whoever has a link."""

    cdn = True

    def _answer(self, hub: Hub) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        ends = int(query.get("Expires", ["0"])[0])
        good = query.get("Signature") == [hub.signature(parts.path, ends)]
        if not good or time.time() >= ends:
            raise _Refused(HTTPStatus.FORBIDDEN, None, "Request has expired" if good else "Access denied")
        file = hub.stored(parts.path.rpartition("/")[2])
        if file is None:
            raise _Refused(HTTPStatus.NOT_FOUND, None, "no such content")
        etag = f'"{file.sha256[:32]}"'  # its own: not what the hub calls the file
        if self.headers.get("If-Match", etag) != etag:
            raise _Refused(HTTPStatus.PRECONDITION_FAILED, None, "it is another one")
        self._file(file, {"ETag": etag, "Cache-Control": "public, max-age=604800, immutable"})


# -------------------------------------------------------------------------------------------------------------- parts


def _cut(path: str, words: tuple[str, ...]) -> tuple[str, str, str]:
    """``org/name/tree/main/a`` → ``org/name``, ``tree``, ``main/a``; a repository's name has one part or two."""
    parts = path.split("/")
    for at in (1, 2):
        if len(parts) > at and parts[at] in words:
            return "/".join(parts[:at]), parts[at], "/".join(parts[at + 1 :])
    return path, "", ""


def _folders(files: Mapping[str, HubFile]) -> set[str]:
    return {str(folder) for path in files for folder in PurePosixPath(path).parents} - {"."}


def _range(header: str | None, size_bytes: int) -> tuple[int, int]:
    """Where ``bytes=a-b`` begins and ends."""
    if header is None:
        return 0, size_bytes
    first, _, last = header.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size_bytes - int(last)), size_bytes
    return int(first), min(size_bytes, int(last) + 1) if last else size_bytes


def _send(file: BinaryIO, socket: int, start: int, end: int, hub: Hub) -> None:
    """From the file into the socket, in the kernel."""
    while start < end:
        count = os.sendfile(socket, file.fileno(), start, min(end - start, _SENT_AT_ONCE))
        if count == 0:
            return
        start += count
        hub.count(count)
