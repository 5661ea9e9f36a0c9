"""`lading ask`: from a server and what a person gives to the server's answer, by whatever it speaks."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from lading.answers.serving import Reply
from lading.backends import asking, asking_given, asking_predict, asking_protocol, asking_tensors
from lading.backends.asking import Client
from lading.backends.asking_given import Given
from lading.backends.asking_predict import Predictive
from lading.backends.asking_protocol import Protocol, Spoken
from lading.errors import InvalidInput, ServerSilent, ServingError
from lading.ports.backend import Endpoint
from lading.spec import units

#: The longest the server may take to say what it speaks.
_FACT_S = 30.0
_SHOWN = 400


async def ask(
    endpoint: Endpoint,
    given: Given | None,
    *,
    protocol: Protocol | None = None,
    model: str | None = None,
    max_tokens: int = 128,
    within_s: float = 600.0,
    sending: Callable[[str], None] | None = None,
    piece: Callable[[str], None] | None = None,
) -> Reply:
    """Ask *endpoint* about what was *given*; None: a sample, made from what the server says of its model.

    Args:
        endpoint: The server.
        given: The input, or a whole request.
        protocol: Found out from the server where it is None.
        model: The one model it serves where it is None.
        max_tokens: The longest answer of an LLM.
        within_s: How long all of it may take.
        sending: Told what is sent, in words, where that was not given as it stands.
        piece: Told each piece of a text as it comes.

    Raises:
        InvalidInput: The input fits no request, or a sample cannot be made up.
        ServingError: The server cannot be asked, refuses, or answers something else.
        ServerSilent: It does not answer in time.
    """
    asked = _Asked(protocol=protocol, model=model, given=given, max_tokens=max_tokens, within_s=within_s)
    try:
        async with asyncio.timeout(within_s), _asking(endpoint) as client:
            return await _answered(client, endpoint, asked, sending or _silent, piece or _silent)
    except TimeoutError:
        raise ServerSilent(
            f"{endpoint.base_url} did not finish its answer within {units.show_seconds(within_s)}"
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a person wants to know."""

    protocol: Protocol | None
    model: str | None
    given: Given | None
    max_tokens: int
    within_s: float


async def _answered(
    client: Client, endpoint: Endpoint, asked: _Asked, sending: Callable[[str], None], piece: Callable[[str], None]
) -> Reply:
    given = asked.given
    known = asked.model or endpoint.served_name or None
    spoken = await _spoken(client, asked.protocol, known)
    name = _named(client, spoken, known)
    match await _chosen(client, spoken, name, asked):
        case "v1" | "v2" as predictive:
            return await _predicted(client, predictive, name, asked, sending)
        case protocol:
            body = asking_given.openai_body(protocol, name, given, asked.max_tokens)
    where = f"{spoken.openai or '/v1'}/{'chat/completions' if protocol == 'chat' else protocol}"
    sample = None if given else "a greeting"
    if sample:
        sending(f'sent to {where}: "{asking_given.GREETING}"')
    document = None
    if protocol == "embeddings":
        answer, document = await _embedded(client, where, body, asked.within_s)
    else:
        answer = await _generated(client, where, body, piece)
    sent = asking_tensors.finite(body)
    return Reply(model=name, answer=answer, protocol=protocol, sent=sent, sample=sample, document=document)


async def _spoken(client: Client, protocol: Protocol | None, model: str | None) -> Spoken:
    """What the server speaks; not asked where everything was given."""
    if protocol is not None and model is not None and protocol not in asking_protocol.OPENAI:
        return Spoken(v1=protocol == "v1", v2=protocol == "v2")
    try:
        return await asking_protocol.spoken(client, model, within_s=_FACT_S)
    except TimeoutError:
        raise ServerSilent(f"{client.base_url} does not say what it serves within {_FACT_S:g} s") from None
    except ServingError:
        if protocol is None or model is None:
            raise
        return Spoken()  # some serve a model and no list


def _named(client: Client, spoken: Spoken, known: str | None) -> str:
    """The model to ask for: the *known* one, else the one there is.

    Raises:
        InvalidInput: There is no such model, there are several, or none is listed.
    """
    may_hide = spoken.openai is not None or not spoken.models  # OpenAI's lists have no aliases
    if known is not None and (may_hide or known in spoken.models):
        return known
    if known is None and len(spoken.models) == 1:
        return spoken.models[0]
    shown = ", ".join(spoken.models)[:_SHOWN]
    said = f"serves {shown}" if shown else "lists no model"
    raise InvalidInput(
        f"{client.base_url} {said}" + (f", not {known}" if known else ""),
        hint=f"name the model: --model {spoken.models[0] if shown else 'NAME'}",
    )


async def _chosen(client: Client, spoken: Spoken, model: str, asked: _Asked) -> Protocol:
    described = False
    if asked.protocol is None and spoken.v1 and spoken.v2:
        described = bool(await asking_predict.metadata(client, model, within_s=asked.within_s))
    return asking_given.choose(spoken, asked.protocol, asked.given, described=described)


async def _predicted(
    client: Client, protocol: Predictive, model: str, wanted: _Asked, sending: Callable[[str], None]
) -> Reply:
    given = wanted.given
    value = given.value if given else None
    whole = given is not None and given.whole == protocol
    asked = await asking_predict.question(client, protocol, model, value, whole=whole, within_s=wanted.within_s)
    if not whole:
        sending(_said(asked))
    document = asking_tensors.finite(await asking_predict.predict(client, asked, within_s=wanted.within_s))
    found = document["predictions"] if protocol == "v1" else [output["data"] for output in document["outputs"]]
    sent = asking_tensors.finite(asked.body)
    return Reply(
        model=model, answer=json.dumps(found), protocol=protocol, sent=sent, sample=asked.sample, document=document
    )


async def _generated(client: Client, where: str, body: dict[str, Any], piece: Callable[[str], None]) -> str:
    """The text of a streamed answer."""
    pieces: list[str] = []
    async with aclosing(client.stream(where, {**body, "stream": True})) as events:
        async for event in events:
            text = asking.printable(_text(event))
            pieces.append(text)
            piece(text)
    return "".join(pieces)


async def _embedded(client: Client, where: str, body: dict[str, Any], within_s: float) -> tuple[str, dict[str, Any]]:
    """The vectors, as JSON, and the whole answer.

    Raises:
        ServingError: The server refuses, or gives no vectors.
    """
    answer = await client.post(where, body, within_s=within_s)
    if answer.status != 200:
        raise asking.refused(client.base_url + where, answer)
    listed = answer.document.get("data") if isinstance(answer.document, dict) else None
    entries = listed if isinstance(listed, list) else []
    vectors = [one.get("embedding") if isinstance(one, dict) else None for one in entries]
    if not vectors or not all(_is_vector(vector) for vector in vectors):
        raise ServingError(f"{client.base_url}{where} answered 200 without embeddings: {answer.message}")
    return json.dumps(vectors), asking_tensors.finite(answer.document)


def _is_vector(vector: object) -> bool:
    return (
        isinstance(vector, list)
        and bool(vector)
        and all(isinstance(number, int | float) and math.isfinite(number) for number in vector)
    )


def _text(event: Mapping[str, Any]) -> str:
    """What one event of a stream adds; empty where it adds none."""
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return ""
    delta = choice.get("delta")
    text = (delta.get("content") if isinstance(delta, dict) else None) or choice.get("text")
    return text if isinstance(text, str) else ""


def _said(asked: asking_predict.Question) -> str:
    """What is sent, in words: where to, the tensors or instances, and where they are from."""
    if asked.protocol == "v1":
        content = json.dumps(asked.body)
    else:
        content = ", ".join(
            f"{one['name']} {one['datatype']} {one['shape']} = {json.dumps(one['data'])}"
            for one in asked.body["inputs"]
        )
    cut = content if len(content) <= _SHOWN else f"{content[:_SHOWN]} …"
    return f"sent to {asked.path}: {cut}" + (f" ({asked.sample})" if asked.sample else "")


def _silent(words: str) -> None:
    del words


@asynccontextmanager
async def _asking(endpoint: Endpoint) -> AsyncIterator[Client]:
    """A client of *endpoint*; a connection that breaks is a `ServingError`."""
    try:
        async with Client(endpoint.base_url, endpoint.headers) as client:
            yield client
    except aiohttp.ClientError as error:
        raise ServingError(
            f"{endpoint.base_url} cannot be asked: {asking.unreachable(error)}", hint="is a server running there?"
        ) from error
