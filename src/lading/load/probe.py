"""What a server takes, found out by asking it once before anything is timed."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import aiohttp

from lading.errors import InvalidInput, MeasurementError
from lading.measure.prompts import UNKNOWN_VOCABULARY, Form, TokenIds, Words
from lading.ports.backend import Endpoint
from lading.spec.workload import Workload

#: Tokens of the probe's prompt.
_PROBE_TOKENS = 3
_PROBE_WORDS = "the of and"
#: Asked of a server nobody described; refused by servers that check their keys.
_FULL_LENGTH = {"ignore_eos": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One model of a server's list."""

    name: str
    vocabulary: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How requests to an endpoint are to be made: *endpoint* with the keys that it takes, and the form of prompts."""

    endpoint: Endpoint
    form: Form


async def models(endpoint: Endpoint, *, timeout_s: float = 10.0) -> tuple[Served, ...]:
    """The models that the server lists, the first of them first; empty where it lists none.

    Raises:
        MeasurementError: Nothing answers there.
    """
    async with _session(endpoint, timeout_s) as session:
        status, answer = await _json(session, "GET", f"{endpoint.base_url}/v1/models")
    entries = answer.get("data") if status == 200 else None
    return tuple(_served(entries)) if isinstance(entries, list) else ()


async def taken(endpoint: Endpoint, workload: Workload) -> Taken:
    """What the endpoint takes for *workload*: the first of several ways that it answers, else the plainest.

    Raises:
        InvalidInput: Token ids are asked for where there can be none.
        MeasurementError: Nothing answers there, or not within the workload's time-out.
    """
    if workload.prompt == "tokens" and workload.api == "chat":
        raise InvalidInput("chat requests cannot carry token ids", hint="use completions, or prompts of text")
    if workload.prompt == "tokens" and endpoint.takes_token_ids is False:
        raise InvalidInput(f"{endpoint.base_url} takes no token ids", hint="use prompts of text")
    known = bool(endpoint.request_body) or not workload.ignore_eos
    if known and (endpoint.takes_token_ids is not None or not _ids_wanted(workload)):
        return Taken(endpoint=endpoint, form=await _form(endpoint, workload, ids=bool(endpoint.takes_token_ids)))
    return await _first_answered(endpoint, workload, known=known)


async def _first_answered(endpoint: Endpoint, workload: Workload, *, known: bool) -> Taken:
    bodies: list[Mapping[str, object]] = [endpoint.request_body] if known else [_FULL_LENGTH, {}]
    form: Form = Words()
    async with _session(endpoint, workload.timeout) as session:
        for ids in _ways(endpoint, workload):
            form = await _form(endpoint, workload, ids=ids)
            for keys in bodies:
                if await _answers(session, endpoint, workload, form, keys):
                    return Taken(endpoint=replace(endpoint, request_body=keys), form=form)
    return Taken(endpoint=endpoint, form=form)


async def _form(endpoint: Endpoint, workload: Workload, *, ids: bool) -> Form:
    if not ids or not _ids_wanted(workload):
        return Words()
    if endpoint.vocabulary is not None:
        return TokenIds(endpoint.vocabulary)
    listed = await models(endpoint, timeout_s=workload.timeout)
    sizes = [model.vocabulary for model in listed if model.vocabulary and model.name == endpoint.served_name]
    return TokenIds(sizes[0] if sizes else UNKNOWN_VOCABULARY)


def _ways(endpoint: Endpoint, workload: Workload) -> tuple[bool, ...]:
    """Whether to try ids, in order; never words where ids were asked for: the server's own refusal is then told."""
    if not _ids_wanted(workload) or endpoint.takes_token_ids is False:
        return (False,)
    return (True,) if workload.prompt == "tokens" or endpoint.takes_token_ids else (True, False)


def _ids_wanted(workload: Workload) -> bool:
    return workload.api == "completions" and workload.prompt != "text"


async def _answers(
    session: aiohttp.ClientSession, endpoint: Endpoint, workload: Workload, form: Form, keys: Mapping[str, object]
) -> bool:
    """Whether a request of one token is answered; for token ids, whether they were counted as such."""
    prompt: object = _PROBE_WORDS
    if isinstance(form, TokenIds):
        prompt = [form.symbols[0], *form.symbols[-(_PROBE_TOKENS - 1) :]]
    content = {"messages": [{"role": "user", "content": prompt}]} if workload.api == "chat" else {"prompt": prompt}
    path = "chat/completions" if workload.api == "chat" else "completions"
    body = {"model": endpoint.served_name, "max_tokens": 1, **content, **keys, **workload.body}
    status, answer = await _json(session, "POST", f"{endpoint.base_url}/v1/{path}", body)
    if status != 200:
        return False
    usage = answer.get("usage")
    counted = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return not isinstance(form, TokenIds) or counted in {None, _PROBE_TOKENS, _PROBE_TOKENS + 1}  # one for BOS


def _served(entries: list[Any]) -> Iterator[Served]:
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("id"), str) and entry["id"].isprintable():
            meta = entry.get("meta")
            size = meta.get("n_vocab") if isinstance(meta, dict) else None  # llama.cpp
            yield Served(name=entry["id"], vocabulary=size if isinstance(size, int) and size > 1 else None)


def _session(endpoint: Endpoint, timeout_s: float) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        headers=dict(endpoint.headers),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        connector=aiohttp.TCPConnector(force_close=True),  # servers close what they announce to keep
    )


async def _json(
    session: aiohttp.ClientSession, method: Literal["GET", "POST"], url: str, body: object = None
) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of an answer, an empty object for anything else."""
    try:
        async with session.request(method, url, json=body) as response:
            document = await response.json(content_type=None) if response.status == 200 else {}
            return response.status, document if isinstance(document, dict) else {}
    except TimeoutError:
        raise MeasurementError(
            f"{url} did not answer within {session.timeout.total:g} s",
            hint="is the server still loading, or stuck? look at its log",
        ) from None
    except aiohttp.ClientConnectorError as error:
        raise MeasurementError(
            f"nothing answers at {url}: {_cause(error)}", hint="is the server running, and is the port right?"
        ) from error
    except (aiohttp.ClientError, ValueError):
        return 0, {}


def _cause(error: aiohttp.ClientConnectorError) -> str:
    number = error.os_error.errno
    return os.strerror(number).lower() if number else str(error)
