"""What is asked of a hub: which commit a revision is, what files it has, and where their bytes are.

Three requests, by plain HTTP, are all that a pull needs of a hub's API: `docs/design/0004` says why its own library is not taken. A
token goes to the hub alone, never to where its links lead.
"""

import http.client
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from lading.errors import InvalidReference, SourceBusy, SourceDenied, SourceError, SourceMissing
from lading.sources.connection import Connection, Get, Trust, faults
from lading.sources.get import changed, check_status, retry_after_s
from lading.sources.hub_home import Settings
from lading.spec.ref import SourceRef
from lading.weights.listing import Entry

ANSWER_BYTES = 64 << 20
PAGES = 10_000
MARGIN_S = 60.0
"""A link is given up so long before its end: clocks differ, and a request takes its time."""
UNKNOWN_LIFE_S = 240.0
"""How long a link is used that does not say how long it is good."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REF = re.compile(r"refs/[^/]+/[^/]+")
_RESET = re.compile(r";\s*t=(\d{1,9})")
_NO_HEAD = frozenset({405, 501})
"""How a plain server says that it answers GET alone: the file is then asked for there, each time."""
_KINDS = {"datasets", "spaces", "buckets", "kernels"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a reference ``hf://org/name[@revision][/path]`` names; *path* is a file or folder in the repository."""

    repo: str
    revision: str = "main"
    path: str = ""

    def __str__(self) -> str:
        revision = quote(self.revision, safe="/" if _REF.fullmatch(self.revision) else "")
        return f"hf://{self.repo}@{revision}" + (f"/{self.path}" if self.path else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where the bytes of a file are, with the headers to send there; *until*: on the clock of `time.monotonic`."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    until: float


def parse(ref: SourceRef) -> Place:
    """What *ref* names.

    A revision is all up to the next ``/``; one with a ``/`` in it is written with ``%2F``, but for ``refs/pr/1``.

    Raises:
        InvalidReference: It names no model's repository.
    """
    parts = ref.location.removeprefix("models/").rstrip("/").split("/")
    count = 1 if "@" in parts[0] else 2
    name, at, first = "/".join(parts[:count]).partition("@")
    rest = parts[count:]
    if parts[0] in _KINDS or not all(map(_NAME.fullmatch, name.split("/"))) or (at and not first):
        raise InvalidReference(
            f"{ref} is not hf://org/name[@revision][/path] of a model", hint="such as hf://mistralai/Mistral-7B-v0.3"
        )
    if first == "refs" and len(rest) >= 2:
        first, rest = "/".join(["refs", *rest[:2]]), rest[2:]
    if {"", ".", ".."} & {*rest, *unquote(first or "main").split("/")}:
        raise InvalidReference(f"{ref} has an empty or a dotted part in it")
    return Place(repo=name, revision=unquote(first) or "main", path="/".join(rest))


class Api:
    """Requests of one thread to a hub, over one connection."""

    def __init__(self, settings: Settings, trust: Trust) -> None:
        self._settings = settings
        self._connection = Connection(trust)

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        self._connection.close()

    def commit(self, place: Place) -> tuple[str, bool]:
        """The commit that its revision is now, and whether its files are gated.

        Raises:
            SourceMissing, SourceDenied, SourceBusy, SourceTransient, SourceError: As named.
        """
        found = self._json(place, f"/api/models/{place.repo}/revision/{quote(place.revision, safe='')}")[0]
        sha = found.get("sha") if isinstance(found, dict) else None
        if not isinstance(sha, str) or not _COMMIT.fullmatch(sha):
            raise self._strange(place, "no commit")
        return sha, bool(found.get("gated"))

    def files(self, place: Place) -> Iterator[Entry]:
        """All files of the commit that *place* names, in the hub's order; their keys are not filled in.

        Raises:
            As `commit`.
        """
        path = f"/api/models/{place.repo}/tree/{quote(place.revision, safe='')}"
        query, seen = "recursive=true", {""}
        for _ in range(PAGES):
            lines, following = self._json(place, f"{path}?{query}")
            if not isinstance(lines, list):
                raise self._strange(place, "no list of files")
            for line in lines:
                if isinstance(line, dict) and line.get("type") == "file":
                    yield self._entry(place, line)
            if following is None:
                return
            if following in seen:
                break
            seen.add(following)
            query = following
        raise self._strange(place, "a list of files without an end")

    def link(self, place: Place, entry: Entry) -> Link:
        """Where the bytes of *entry*, the file that *place* names, are now: with the hub, or behind a link that ends.

        Raises:
            SourceChanged: It is not what was listed.
            As `commit`.
        """
        get = replace(self.get(place), method="HEAD")
        answer, there = self._connection.leads_to(get)
        if not 300 <= answer.status < 400:
            if answer.status not in _NO_HEAD:
                self._check(place, answer)
            return Link(url=there, headers=get.headers, until=float("inf"))
        marked, size = answer.headers.get("X-Linked-ETag", "").strip('"'), answer.headers.get("X-Linked-Size", "")
        if _SHA256.fullmatch(marked) and marked != entry.sha256:
            raise changed(str(place))
        if size.isdecimal() and len(size) < 19 and int(size) != entry.size_bytes:
            raise changed(str(place))
        if there == get.url:
            raise self._strange(place, "a redirect to nowhere")
        return Link(url=there, headers={}, until=time.monotonic() + life_s(there, answer.headers.get("Date")))

    def get(self, place: Place) -> Get:
        """The request to the hub for the file that *place* names."""
        url = f"{self._settings.endpoint}/{place.repo}/resolve/{quote(place.revision, safe='')}/{quote(place.path)}"
        return Get(url=url, shown=str(place), headers=self._settings.login)

    def _json(self, place: Place, target: str) -> tuple[Any, str | None]:
        """The document at *target*, and the query of the next page."""
        answer = self._connection.send(
            Get(url=f"{self._settings.endpoint}{target}", shown=str(place), headers=self._settings.login)
        )
        self._check(place, answer)
        with faults(str(place)):
            text = answer.read(ANSWER_BYTES + 1)
        if len(text) > ANSWER_BYTES:
            raise self._strange(place, "more than is read")
        try:
            return json.loads(text), _next_query(answer.headers.get("Link", ""))
        except (ValueError, RecursionError):
            raise self._strange(place, "no JSON") from None

    def _entry(self, place: Place, line: Mapping[str, Any]) -> Entry:
        match line:
            case {"path": str(path), "lfs": {"oid": str(sha256), "size": int(size)}} if size >= 0 and _SHA256.fullmatch(
                sha256
            ):
                return Entry(path=path, size_bytes=size, sha256=sha256)
            case {"path": str(path), "size": int(size), "oid": str(oid)} if size >= 0 and _OID.fullmatch(oid):
                return Entry(path=path, size_bytes=size, etag=oid, digests={"git-sha1": oid} if len(oid) == 40 else {})
        raise self._strange(place, "a list with something else than files in it")

    def _strange(self, place: Place, what: str) -> SourceError:
        return SourceError(
            f"{self._settings.endpoint} answered with {what} about {place}: is it a model hub?",
            hint="check HF_ENDPOINT, and the proxy",
        )

    def _check(self, place: Place, answer: http.client.HTTPResponse) -> None:
        """Raise what the hub means, unless it is a success."""
        if 200 <= answer.status < 300:
            return
        with faults(str(place)):
            answer.read(ANSWER_BYTES)
        raise_refusal(place, answer.status, answer.headers, self._settings)


def raise_refusal(place: Place, status: int, headers: http.client.HTTPMessage, settings: Settings) -> None:
    """Raise what a hub's refusal means, in our words, with what to do.

    Raises:
        SourceMissing, SourceDenied, SourceBusy, SourceTransient, SourceError: As named.
    """
    code, said = headers.get("X-Error-Code"), headers.get("X-Error-Message", "")
    page = f"{settings.endpoint}/{place.repo}"
    if code == "GatedRepo":
        raise _gated(place, page, settings)
    if code == "RevisionNotFound":
        raise SourceMissing(f"{place.repo} has no revision {place.revision!r}", hint=f"its branches and tags: {page}")
    if code == "EntryNotFound":
        raise SourceMissing(f"{place.repo} has no file {place.path!r}", hint=f"its files: {page}/tree/main")
    if "disabled" in said:
        raise SourceDenied(f"{place.repo} was disabled by {settings.endpoint}", hint=f"its page says why: {page}")
    if status == 401 and settings.token_from and code is None:
        raise SourceDenied(
            f"{settings.endpoint} refused the token in {settings.token_from}: it is wrong, or has ended",
            hint=f"make one at {settings.endpoint}/settings/tokens, and put it into {settings.token_from}",
        )
    if code == "RepoNotFound" or status in {401, 404}:
        raise _unknown(place, settings)
    if status == 429:
        wait_s = retry_after_s(headers.get("Retry-After")) or _reset_s(headers.get("RateLimit", ""))
        raise SourceBusy(
            f"{settings.endpoint} asks for fewer requests (429)", retry_after_s=wait_s,
            hint=None if settings.token_from else "it allows more to who has a token: set HF_TOKEN",
        )  # fmt: skip
    check_status(status, None, str(place), headers)
    raise SourceError(f"{place}: the hub answered {status}")


def life_s(location: str, date: str | None, *, now_s: float | None = None) -> float:
    """How long the link *location*, given at *date*, may be used, in seconds; by the clock of who gave it."""
    query = parse_qs(urlsplit(location).query)
    try:
        began_s = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        began_s = time.time() if now_s is None else now_s
    ends = query.get("Expires", [""])[0]
    left_s = int(ends) - began_s if ends.isdecimal() and len(ends) < 19 else _amazon_end_s(query, began_s)
    return max(0.0, left_s - min(MARGIN_S, left_s / 2))


def _amazon_end_s(query: Mapping[str, list[str]], began_s: float) -> float:
    try:
        signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return signed.timestamp() + int(query["X-Amz-Expires"][0]) - began_s
    except (KeyError, ValueError):
        return UNKNOWN_LIFE_S


def _gated(place: Place, page: str, settings: Settings) -> SourceDenied:
    if settings.token_from is None:
        return SourceDenied(
            f"{place.repo} is gated: its files are for who has accepted its terms, and no token says who asks",
            hint=f"accept the terms at {page}, then set HF_TOKEN to a token of that account "
            "(in a Job: --token-secret NAME, a Secret with the key HF_TOKEN)",
        )
    return SourceDenied(
        f"{place.repo} is gated, and the account of the token in {settings.token_from} may not read it",
        hint=f"accept the terms at {page} with that account (some authors then grant it by hand); a fine-grained token "
        "also needs the right to read gated repositories",
    )


def _unknown(place: Place, settings: Settings) -> SourceMissing:
    if settings.token_from is None:
        return SourceMissing(
            f"{settings.endpoint} has no model {place.repo}, or it is private",
            hint="check the name; for a private one set HF_TOKEN (in a Job: --token-secret NAME)",
        )
    return SourceMissing(
        f"{settings.endpoint} has no model {place.repo}, or it is private and the token in {settings.token_from} may not see it",
        hint="check the name, and what the token may read",
    )


def _next_query(link: str) -> str | None:
    """The query of the next page. Only that: the list goes on where it began, and so does the token."""
    found = re.search(r'<([^>]*)>\s*;\s*rel="?next"?', link)
    return urlsplit(found[1]).query if found else None


def _reset_s(text: str) -> float | None:
    """Seconds to wait by a ``RateLimit: "api";r=0;t=55``."""
    found = _RESET.search(text)
    return float(found[1]) if found else None
