"""Asking a server: is it there, what does it serve, does it answer. Nothing here is timed for a result."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from pydantic_core import from_json

from lading.engines.base import Probe
from lading.errors import LadingError, NotReady, ServerSilent, ServingError, WrongModelServed

Result = TypeVar("Result")
PROMPT = "Hello"
#: The longest a first answer of two tokens may take once the server says that it is ready.
FIRST_ANSWER_S = 120.0
PAUSE_S = 0.1
_HEAD = 400
#: An answer's size that is read at most: what a server sends is not trusted.
_LARGEST_BYTES = 16 * 2**20
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer.

    Attributes:
        document: Its JSON, None where it is none: neither what is nested too deeply nor what is cut off.
        location: Where it redirects to; redirects are never followed, a key would go with them.
        cut: Whether more was to come than is read of an answer.
    """

    status: int
    text: str
    document: Any = None
    location: str | None = None
    cut: bool = False

    @property
    def message(self) -> str:
        """What it says went wrong, in one line."""
        if self.location is not None:
            return f"it redirects to {printable(self.location)[:_HEAD]}"
        if self.cut:
            return f"its answer is longer than {_LARGEST_BYTES:,} bytes"
        error = self.document.get("error", self.document) if isinstance(self.document, dict) else None
        found = error.get("message", error.get("detail")) if isinstance(error, dict) else error
        return " ".join(printable(str(found or self.text)).split())[:_HEAD]


class Client:
    """Requests to one server; an async context manager.

    Args:
        base_url: Without ``/v1``.
        headers: Sent with each (authorization).
    """

    def __init__(self, base_url: str, headers: Mapping[str, str] | None = None) -> None:
        self.base_url = base_url.rstrip("/").removesuffix("/v1")
        self._headers = dict(headers or {})
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # A new connection for each request: llama.cpp closes after streamed answers without saying so.
        connector = aiohttp.TCPConnector(force_close=True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
        self._session = aiohttp.ClientSession(connector=connector, headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, *, within_s: float) -> Answer:
        """GET *path*.

        Raises:
            aiohttp.ClientError, TimeoutError: It could not be asked, or did not answer in time.
        """
        return await self._ask("GET", path, None, within_s)

    async def post(self, path: str, body: Mapping[str, Any], *, within_s: float) -> Answer:
        """POST *body* as JSON to *path*; raises as `get`."""
        return await self._ask("POST", path, body, within_s)

    async def stream(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
        """POST *body* and give the JSON object of each server-sent event until ``[DONE]``.

        Raises:
            ServingError: The answer is an error, no stream of events, too long, or ends early.
            aiohttp.ClientError: The connection broke.
        """
        assert self._session is not None
        url = self.base_url + path
        async with self._session.post(url, json=dict(body), allow_redirects=False) as response:
            if response.status != 200:
                raise refused(url, await _read(response))
            async for data in _events(response, url):
                event = _parsed(data.decode("utf-8", "replace"))
                if not isinstance(event, dict):
                    raise ServingError(f"{url} sent an event that is no JSON object: {_shortly(data)}")
                if event.get("error"):
                    raise refused(url, Answer(status=200, text="", document=event))
                yield event

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None, within_s: float) -> Answer:
        assert self._session is not None
        async with asyncio.timeout(max(0.001, within_s)):
            asked = self._session.request(method, self.base_url + path, json=body, allow_redirects=False)
            async with asked as response:
                return await _read(response)


async def _read(response: aiohttp.ClientResponse) -> Answer:
    data = bytearray()
    while len(data) <= _LARGEST_BYTES and (piece := await response.content.read(2**16)):
        data += piece
    cut = len(data) > _LARGEST_BYTES
    text = data[:_LARGEST_BYTES].decode("utf-8", "replace")
    location = response.headers.get("Location", "nowhere") if response.status in _REDIRECTS else None
    document = None if cut else _parsed(text)
    return Answer(status=response.status, text=text, document=document, location=location, cut=cut)


def _parsed(text: str) -> Any:
    """The JSON of *text*, None where it is none."""
    try:
        return from_json(text)  # bounded in depth, unlike `json`
    except ValueError:
        return None


async def _events(response: aiohttp.ClientResponse, url: str) -> AsyncGenerator[bytes, None]:
    """The data of each server-sent event before ``[DONE]``.

    Raises:
        ServingError: There was no ``[DONE]``, or too much before it.
    """
    rest, read_bytes = b"", 0
    async for piece in response.content.iter_any():
        read_bytes += len(piece)
        if read_bytes > _LARGEST_BYTES:
            raise ServingError(f"{url} sent more than {_LARGEST_BYTES:,} bytes, and no end of its answer")
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line.removeprefix(b"data:").strip()
            if data == b"[DONE]":
                return
            yield data
    if rest.removeprefix(b"data:").strip() == b"[DONE]":
        return
    raise ServingError(f"{url} closed the connection in the middle of its answer")


def _shortly(data: bytes) -> str:
    return " ".join(printable(data.decode("utf-8", "replace")).split())[:_HEAD]


def unreachable(error: aiohttp.ClientError) -> str:
    """*error* in words."""
    return "nothing listens there" if isinstance(error, aiohttp.ClientConnectorError) else printable(str(error))


def refused(url: str, answer: Answer) -> ServingError:
    """The error that an *answer* from *url* is."""
    hint = None
    if answer.status in {401, 403}:
        hint = "put the key in LADING_API_KEY, or name the variable that has it with --api-key-env"
    if answer.location is not None:
        hint = "redirects are not followed, so that no key goes astray; name the server by its own URL"
    return ServingError(f"{url} answered {answer.status}: {answer.message}", hint=hint)


def printable(text: str) -> str:
    """*text* without control characters: what a server says must not drive a terminal."""
    return "".join(char for char in text if char in "\n\t" or (char.isprintable() or char == " "))


# ---------------------------------------------------------------------------------------------------------- readiness


async def until_answering(
    client: Client, served_name: str | None, *, deadline: float, check: Callable[[], None]
) -> str:
    """Wait until the server answered one real request; the name it serves under.

    Args:
        client: Of the server.
        served_name: What it must answer under; None: the one name it lists.
        deadline: In seconds of `time.monotonic`.
        check: Called while waiting; raises when there is no point in it any more (the process is gone).

    Raises:
        NotReady: It does not say that it is ready in time, or refuses the request.
        ServerSilent: It says so, but does not answer.
        WrongModelServed: It answers under another name.
    """
    started = time.monotonic()
    await _until_healthy(client, started, deadline, check)
    within_s = min(FIRST_ANSWER_S, deadline - time.monotonic())
    try:
        name = await watched(_served(client, served_name, within_s), check)
        answer = await watched(_first_answer(client, name, deadline), check)
    except TimeoutError:
        raise ServerSilent(
            f"the server at {client.base_url} says it is ready, but did not answer a request of 2 tokens in {max(0.0, within_s):.3g} s",
            hint="its log may say why; a server without a free slot or with a stuck engine behaves so",
        ) from None
    except aiohttp.ClientError as error:
        await while_it_dies(check)
        raise NotReady(f"the server at {client.base_url} broke off its first answer: {error}") from error
    _compare(client, name, answer)
    return name


async def pause(left_s: float) -> None:
    """Before the next look, not beyond what is left."""
    await asyncio.sleep(min(PAUSE_S, max(0.0, left_s)))


async def while_it_dies(check: Callable[[], None]) -> None:
    """A broken connection is often the first sign of a death: give *check* a second to see it, and raise."""
    for _ in range(10):
        check()
        await asyncio.sleep(PAUSE_S)


async def probes(client: Client, wanted: Sequence[Probe], *, within_s: float = 5.0) -> dict[str, Any]:
    """What the server says about itself: the JSON of each probe that is answered, by the probe's name."""
    answers = {}
    for probe in wanted:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            answer = await client.get(probe.path, within_s=within_s)
            if answer.status == 200:
                answers[probe.name] = answer.document if answer.document is not None else answer.text
    return answers


def vocabulary(answers: Mapping[str, Any]) -> int | None:
    """How many token ids the model has, from the answer of a server that tells (llama.cpp's ``/v1/models``)."""
    for answer in answers.values():
        listed = answer.get("data") if isinstance(answer, Mapping) else None
        for model in listed if isinstance(listed, Sequence) else ():
            meta = model.get("meta") if isinstance(model, Mapping) else None
            size = meta.get("n_vocab") if isinstance(meta, Mapping) else None
            if isinstance(size, int):
                return size
    return None


async def names(client: Client, *, within_s: float) -> tuple[str, ...] | None:
    """The model names it lists, aliases included; None where it has no list.

    Raises:
        ServingError: It refuses to tell (401, 403).
        aiohttp.ClientError, TimeoutError: As `Client.get`.
    """
    answer = await client.get("/v1/models", within_s=within_s)
    if answer.status in {401, 403}:
        raise refused(f"{client.base_url}/v1/models", answer)
    listed = answer.document.get("data") if isinstance(answer.document, dict) else None
    if answer.status != 200 or not isinstance(listed, list):
        return None
    models = [model for model in listed if isinstance(model, dict)]
    found = [str(model["id"]) for model in models if "id" in model]
    return tuple(dict.fromkeys([*found, *(str(alias) for model in models for alias in model.get("aliases") or ())]))


async def only_name(client: Client, *, within_s: float) -> str:
    """The one model name it lists; raises as `names`, and `ServingError` where it lists none or several."""
    listed = await names(client, within_s=within_s)
    if listed is None or len(listed) != 1:
        said = "no list of models" if listed is None else f"{len(listed)} models: {', '.join(map(printable, listed))}"
        raise ServingError(f"{client.base_url} gives {said}", hint="say which one with --served-name")
    return listed[0]


async def _until_healthy(client: Client, started: float, deadline: float, check: Callable[[], None]) -> None:
    """Until ``/health`` says yes, or the server has no such path."""
    last = "nothing listens there"
    while (left_s := deadline - time.monotonic()) > 0:
        check()
        try:
            answer = await watched(client.get("/health", within_s=min(5.0, left_s)), check)
        except TimeoutError:
            if left_s > 1.0:  # else it is the deadline that cut it short, and what was seen before says more
                last = "/health does not answer"
        except aiohttp.ClientError as error:
            last = unreachable(error)
        else:
            if answer.status in {200, 401, 403, 404, 405, 501}:
                return
            last = f"/health says {answer.status} {answer.message}"
        await pause(left_s)
    raise NotReady(
        f"the server at {client.base_url} was not ready after {time.monotonic() - started:.3g} s: {last}",
        hint="give it longer with --deadline, or look at its log",
    )


async def _served(client: Client, wanted: str | None, within_s: float) -> str:
    if wanted is None:
        return await only_name(client, within_s=within_s)
    listed = await names(client, within_s=within_s)
    if listed is not None and wanted not in listed:
        raise _wrong(client, wanted, listed)
    return wanted


async def _first_answer(client: Client, name: str, deadline: float) -> Answer:
    """The answer to one small request; a server that is still loading (503) is asked again until *deadline*."""
    while True:
        within_s = min(FIRST_ANSWER_S, deadline - time.monotonic())
        answer = await _asked_both_ways(client, name, within_s)
        if answer.status == 200:
            return answer
        if answer.status != 503 or time.monotonic() + PAUSE_S > deadline:
            failure = refused(client.base_url, answer)
            raise NotReady(failure.message, hint=failure.hint)
        await asyncio.sleep(PAUSE_S)


async def _asked_both_ways(client: Client, name: str, within_s: float) -> Answer:
    """A completion, or a chat where completions are not offered."""
    size = {"model": name, "max_tokens": 2, "temperature": 0}
    answer = await client.post("/v1/completions", {**size, "prompt": PROMPT}, within_s=within_s)
    if answer.status not in {404, 405, 501}:
        return answer
    messages = [{"role": "user", "content": PROMPT}]
    return await client.post("/v1/chat/completions", {**size, "messages": messages}, within_s=within_s)


def _compare(client: Client, name: str, answer: Answer) -> None:
    said = answer.document.get("model") if isinstance(answer.document, dict) else None
    choices = answer.document.get("choices") if isinstance(answer.document, dict) else None
    if not choices:
        raise NotReady(f"{client.base_url} answered 200 without a completion: {answer.message}")
    if said is not None and said != name:
        raise _wrong(client, name, (str(said),))


def _wrong(client: Client, wanted: str, found: Sequence[str]) -> WrongModelServed:
    shown = ", ".join(printable(name) for name in found) or "none"
    return WrongModelServed(
        f"{client.base_url} serves {shown}, not {wanted}", hint=f"ask for it under that name: --served-name {shown}"
    )


async def watched(work: Coroutine[Any, Any, Result], check: Callable[[], None]) -> Result:
    """The result of *work*, cancelled as soon as *check* raises."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            check()
            await asyncio.wait({task}, timeout=PAUSE_S)
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, aiohttp.ClientError, LadingError, TimeoutError):
                await task
