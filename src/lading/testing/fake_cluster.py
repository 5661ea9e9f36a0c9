"""A Kubernetes API server in this process, for the faults that a real one shows once a month.

It passes the same contract as the real one (`lading.testing.cluster`) in what that asks: objects with versions, pages,
server-side apply with owners, watches over a history that can be forgotten, logs. No controllers: nothing runs.
"""

import asyncio
import copy
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import RawTestServer

from lading.cluster.config import Connection

Object = dict[str, Any]
Key = tuple[str, str, str]
_REVIEWS = "selfsubjectaccessreviews"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, as Kubernetes reads it."""

    raw: web.BaseRequest
    verb: str
    plural: str
    namespace: str | None
    name: str | None
    sub: str | None
    params: Mapping[str, str]
    data: Any

    @classmethod
    async def of(cls, raw: web.BaseRequest) -> "Asked":
        """What *raw* asks."""
        parts = raw.path.strip("/").split("/")
        rest = parts[3:] if parts[0] == "apis" else parts[2:]
        namespace = rest[1] if rest[0] == "namespaces" and len(rest) > 2 else None
        plural, name, sub = (*(rest[2:] if namespace else rest), None, None)[:3]
        text, params = await raw.text(), dict(raw.query)
        verb = "watch" if params.get("watch") == "true" else _VERBS.get(raw.method, "get" if name else "list")
        return cls(
            raw=raw, verb=verb, plural=plural or "", namespace=namespace, name=name, sub=sub, params=params,
            data=json.loads(text) if text else None,
        )  # fmt: skip

    @property
    def key(self) -> Key:
        """Of the object that is meant."""
        return self.plural, self.namespace or "", self.name or ""

    @property
    def resource(self) -> str:
        """As RBAC has it."""
        return f"{self.plural}/{self.sub}" if self.sub else self.plural


@dataclass(slots=True)
class Fault:
    """What happens to the next request that *on* chooses, instead of its answer.

    Attributes:
        on: ``METHOD /path`` begins with this; the path's last part may be enough: ``POST configmaps``.
        status: Answered in place of the real answer.
        lost: The connection is cut: before the request is looked at, or after it was done.
    """

    on: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    lost: str | None = None
    wait_s: float = 0.0
    times: int = 1

    def hits(self, request: web.BaseRequest) -> bool:
        """Whether it is for *request*."""
        method, _, part = self.on.partition(" ")
        return self.times > 0 and method == request.method and part in request.path_qs


@dataclass(slots=True)
class Log:
    """What a container has written so far."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    ended: bool = False
    cut_after: list[int] = field(default_factory=list)


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details or {}

    def document(self) -> Object:
        """The Status that is answered."""
        return {
            "apiVersion": "v1", "kind": "Status", "status": "Failure", "metadata": {},
            "code": self.code, "reason": self.reason, "message": self.message, "details": dict(self.details),
        }  # fmt: skip


class FakeCluster:
    """The server, on a port of its own while it is entered.

    Attributes:
        denied: Verb and resource of rights that nobody has here.
        unknown: Plurals of kinds that it does not know.
        token: The one it asks for; None: it asks for none.
        seen: Method and path of each request.
        junk: Sent at the start of the next stream.
        watches_last_s: After that it ends each watch in good order.
    """

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.owners: dict[Key, dict[str, str]] = {}
        self.history: list[tuple[int, str, Key, Object]] = []
        self.version = 100
        self.compacted = 0
        self.page: int | None = None
        self.denied: set[tuple[str, str]] = set()
        self.unknown: set[str] = set()
        self.token: str | None = None
        self.logs: dict[tuple[str, str], Log] = {}
        self.seen: list[str] = []
        self.junk = b""
        self.watches_last_s = 60.0
        self._faults: list[Fault] = []
        self._cuts: list[Callable[[], None]] = []
        self._news = asyncio.Condition()
        self._server = RawTestServer(self._serve)

    async def __aenter__(self) -> Self:
        await self._server.start_server()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut_watches()
        async with self._news:
            self._news.notify_all()
        await self._server.close()

    def connection(self, namespace: str = "default") -> Connection:
        """How a client reaches it."""
        return Connection(server=str(self._server.make_url("")).rstrip("/"), namespace=namespace, context="fake")

    # ------------------------------------------------------------------------------------------------------- planting

    def plant(self, on: str, **what: Any) -> None:
        """Have the next request that begins so fail: see `Fault`."""
        self._faults.append(Fault(on, **what))

    def cut_watches(self) -> None:
        """Break every watch and followed log that is open, in the middle."""
        cuts, self._cuts = self._cuts, []
        for cut in cuts:
            cut()

    def forget(self) -> None:
        """Compact the history: what is older than now is answered by 410."""
        self.history.clear()
        self.compacted = self.version

    async def write(self, namespace: str, pod: str, *texts: str, end: bool = False) -> None:
        """Lines of a pod's log, stamped now."""
        log = self.logs.setdefault((namespace, pod), Log())
        log.lines += [(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z", text) for text in texts]
        log.ended = log.ended or end
        async with self._news:
            self._news.notify_all()

    # -------------------------------------------------------------------------------------------------------- serving

    async def _serve(self, raw: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, or fail it as planted."""
        self.seen.append(f"{raw.method} {raw.path_qs}")
        fault = next((one for one in self._faults if one.hits(raw)), None)
        if fault is None:
            return await self._answer(raw)
        fault.times -= 1
        await asyncio.sleep(fault.wait_s)
        if fault.lost == "before":
            return _cut(raw)
        if fault.status is not None:
            refusal = Refusal(fault.status, "Planted", "planted")
            return web.json_response(refusal.document(), status=fault.status, headers=dict(fault.headers))
        answer = await self._answer(raw)
        return _cut(raw) if fault.lost == "after" else answer

    async def _answer(self, raw: web.BaseRequest) -> web.StreamResponse:
        try:
            asked = await Asked.of(raw)
            self._check(asked)
            if asked.verb == "watch":
                return await _streamed(raw, self._watch(asked))
            if asked.sub == "log":
                return await _streamed(raw, self._log(asked))
            document = await self._done(asked)
            return web.json_response(document, status=201 if asked.verb == "create" else 200)
        except Refusal as refusal:
            return web.json_response(refusal.document(), status=refusal.code)

    async def _done(self, asked: Asked) -> Object:
        match asked.verb:
            case "create" if asked.plural == _REVIEWS:
                return self._review(asked.data)
            case "list":
                return self._list(asked)
            case "get":
                return self._get(asked.key)
            case "patch" if "apply-patch" not in asked.raw.headers.get("Content-Type", ""):
                return await self._save(asked, asked.key, _merged(self._get(asked.key), asked.data))
        doing = {"create": self._create, "patch": self._apply, "update": self._update, "delete": self._delete}
        return await doing[asked.verb](asked)

    def _check(self, asked: Asked) -> None:
        if self.token is not None and asked.raw.headers.get("Authorization") != f"Bearer {self.token}":
            raise Refusal(401, "Unauthorized", "Unauthorized")
        if asked.plural in self.unknown:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        if (asked.verb, asked.resource) in self.denied:
            raise Refusal(
                403, "Forbidden",
                f'{asked.plural} "{asked.name or ""}" is forbidden: User "u" cannot {asked.verb} resource '
                f'"{asked.resource}" in API group "" in the namespace "{asked.namespace}"',
            )  # fmt: skip

    def _review(self, document: Object) -> Object:
        asked = document["spec"]["resourceAttributes"]
        resource = f"{asked['resource']}/{asked['subresource']}" if "subresource" in asked else asked["resource"]
        return {**document, "status": {"allowed": (asked["verb"], resource) not in self.denied}}

    # ------------------------------------------------------------------------------------------------------- objects

    def _get(self, key: Key) -> Object:
        found = self.objects.get(key)
        if found is None:
            raise Refusal(404, "NotFound", f'{key[0]} "{key[2]}" not found')
        return copy.deepcopy(found)

    def _list(self, asked: Asked) -> Object:
        limit = min(int(asked.params.get("limit", 500)), self.page or 500)
        start, version = 0, self.version
        if "continue" in asked.params:
            version, start = map(int, asked.params["continue"].split("-"))
            if version < self.compacted:
                raise Refusal(410, "Expired", "The provided continue parameter is too old")
        found = [item for key, item in sorted(self.objects.items()) if _chosen(asked, key, item)]
        rest = f"{version}-{start + limit}" if start + limit < len(found) else None
        metadata = {"resourceVersion": str(version), **({"continue": rest} if rest else {})}
        return {"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": found[start : start + limit]}

    async def _create(self, asked: Asked) -> Object:
        document = copy.deepcopy(asked.data)
        metadata = document.setdefault("metadata", {})
        metadata.setdefault("name", f"{metadata.get('generateName', '')}{secrets.token_hex(3)}")
        key = (asked.plural, asked.namespace or "", metadata["name"])
        if key in self.objects:
            raise Refusal(409, "AlreadyExists", f'{key[0]} "{key[2]}" already exists')
        metadata |= {"uid": secrets.token_hex(8), "creationTimestamp": "2026-01-01T00:00:00Z"}
        if asked.namespace:
            metadata["namespace"] = asked.namespace
        return await self._save(asked, key, document, "ADDED")

    async def _update(self, asked: Asked) -> Object:
        key = asked.key
        before = self._get(key)
        if asked.data["metadata"].get("resourceVersion") not in {None, before["metadata"]["resourceVersion"]}:
            raise Refusal(
                409, "Conflict", f'Operation cannot be fulfilled on {key[0]} "{key[2]}": it has been modified'
            )
        return await self._save(asked, key, copy.deepcopy(asked.data))

    async def _apply(self, asked: Asked) -> Object:
        key = asked.key
        manager, owners = asked.params["fieldManager"], self.owners.setdefault(key, {})
        before: Object = self.objects.get(key) or {}
        given = _leaves({name: part for name, part in asked.data.items() if name not in _HEAD})
        foreign = {
            path: owners[path]
            for path, value in given.items()
            if owners.get(path, manager) != manager and _leaves(before).get(path) != value
        }
        if foreign and asked.params.get("force") != "true":
            raise _owned(foreign)
        owners |= dict.fromkeys(given, manager)
        document = _merged(before, asked.data)
        if not before:
            metadata = document["metadata"]
            metadata |= {"uid": secrets.token_hex(8), "creationTimestamp": "2026-01-01T00:00:00Z"}
            metadata |= {"namespace": asked.namespace} if asked.namespace else {}
        return await self._save(asked, key, document, "MODIFIED" if before else "ADDED")

    async def _delete(self, asked: Asked) -> Object:
        key = asked.key
        found = self._get(key)
        wanted = ((asked.data or {}).get("preconditions") or {}).get("uid")
        if wanted not in {None, found["metadata"]["uid"]}:
            raise Refusal(409, "Conflict", f"the UID in the precondition ({wanted}) does not match the UID in record")
        del self.objects[key]
        self.owners.pop(key, None)
        await self._tell("DELETED", key, found)
        return {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    async def _save(self, asked: Asked, key: Key, document: Object, type_: str = "MODIFIED") -> Object:
        manager, before = asked.params.get("fieldManager", "unknown"), self.objects.get(key, {})
        if before and _plain(document) == _plain(before):
            return before
        managers = [*before.get("metadata", {}).get("managedFields", []), {"manager": manager, "operation": "Update"}]
        document["metadata"]["managedFields"] = managers
        self.owners.setdefault(key, {}).update(
            (path, manager)
            for path, value in _leaves(document).items()
            if path not in self.owners[key] or _leaves(before).get(path) != value
        )
        if asked.params.get("dryRun") != "All":
            await self._tell(type_, key, document)
            self.objects[key] = document
        return copy.deepcopy(document)

    async def _tell(self, type_: str, key: Key, document: Object) -> None:
        self.version += 1
        document["metadata"]["resourceVersion"] = str(self.version)
        async with self._news:
            self.history.append((self.version, type_, key, copy.deepcopy(document)))
            self._news.notify_all()

    # -------------------------------------------------------------------------------------------------------- streams

    async def _watch(self, asked: Asked) -> AsyncIterator[bytes]:
        self._cuts.append(_cutter(asked.raw))
        told = int(asked.params["resourceVersion"])
        ends_s = _now_s() + min(self.watches_last_s, float(asked.params["timeoutSeconds"]))
        if self.junk:
            junk, self.junk = self.junk, b""
            yield junk
        while _now_s() < ends_s and asked.raw.transport is not None:
            if told < self.compacted:
                expired = Refusal(410, "Expired", f"too old resource version: {told} ({self.compacted})")
                yield _line({"type": "ERROR", "object": expired.document()})
                return
            for version, type_, key, item in [one for one in self.history if one[0] > told]:
                if _chosen(asked, key, item):
                    yield _line({"type": type_, "object": item})
                told = version
            await self._heard(ends_s)
        bookmark = {"metadata": {"resourceVersion": str(told)}}
        yield _line({"type": "BOOKMARK", "object": bookmark})

    async def _log(self, asked: Asked) -> AsyncIterator[bytes]:
        log = self.logs.setdefault((asked.namespace or "", asked.name or ""), Log())
        follow, cut = asked.params.get("follow") == "true", _cutter(asked.raw)
        self._cuts.append(cut)
        since, told, last = asked.params.get("sinceTime"), 0, log.cut_after.pop(0) if log.cut_after else None
        if self.junk:
            junk, self.junk = self.junk, b""
            yield junk
            return
        while asked.raw.transport is not None:
            for stamp, text in log.lines[told:]:
                told += 1
                if since is None or datetime.fromisoformat(stamp) >= datetime.fromisoformat(since):
                    yield f"{stamp} {text}\n".encode()
                if told == last:
                    cut()
                    return
            if not follow or (log.ended and told == len(log.lines)):
                return
            await self._heard(_now_s() + 1)

    async def _heard(self, until_s: float) -> None:
        try:
            async with asyncio.timeout(min(0.2, max(0.0, until_s - _now_s()))), self._news:
                await self._news.wait()
        except TimeoutError:
            return


_HEAD = frozenset({"apiVersion", "kind", "metadata"})
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


async def _streamed(raw: web.BaseRequest, lines: AsyncIterator[bytes]) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(raw)
    with suppress(ConnectionError):
        async for line in lines:
            await answer.write(line)
        await answer.write_eof()
    return answer


def _cut(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _cutter(raw: web.BaseRequest) -> Callable[[], None]:
    return lambda: raw.transport.abort() if raw.transport is not None else None


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _line(document: Object) -> bytes:
    return json.dumps(document).encode() + b"\n"


def _chosen(asked: Asked, key: Key, item: Object) -> bool:
    if key[0] != asked.plural or (asked.namespace and key[1] != asked.namespace):
        return False
    fields = dict(part.split("=", 1) for part in asked.params.get("fieldSelector", "").split(",") if part)
    if fields.get("metadata.name", key[2]) != key[2]:
        return False
    labels = item["metadata"].get("labels") or {}
    wanted = [part.split("=", 1) for part in asked.params.get("labelSelector", "").split(",") if part]
    return all(labels.get(part[0]) == part[1] if len(part) == 2 else part[0] in labels for part in wanted)


def _merged(before: Any, change: Any) -> Any:
    """RFC 7396."""
    if not isinstance(change, Mapping):
        return copy.deepcopy(change)
    made = copy.deepcopy(before) if isinstance(before, dict) else {}
    for key, value in change.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = _merged(made.get(key), value)
    return made


def _leaves(document: Any, path: str = "") -> dict[str, Any]:
    if isinstance(document, Mapping):
        inside = [_leaves(part, f"{path}.{name}") for name, part in document.items()]
        return {name: value for leaves in inside for name, value in leaves.items()}
    return {path: document}


def _plain(document: Object) -> Object:
    """Without what changes by writing alone."""
    kept = {
        key: value for key, value in document["metadata"].items() if key not in {"managedFields", "resourceVersion"}
    }
    return {**document, "metadata": kept}


def _owned(foreign: Mapping[str, str]) -> Refusal:
    causes: Sequence[Object] = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{owner}" using v1', "field": path}
        for path, owner in foreign.items()
    ]
    said = "; ".join(f"{cause['message']}: {cause['field']}" for cause in causes)
    return Refusal(409, "Conflict", f"Apply failed with {len(causes)} conflict: {said}", {"causes": causes})
