"""From what a user names to what is served, where to ask it, and its answer."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from lading import wiring
from lading.backends import asking
from lading.backends.endpoint import API_KEY_VARIABLE, EndpointBackend, checked_url
from lading.backends.process import ProcessBackend
from lading.engines.base import Engine, RuleInput
from lading.errors import InvalidInput, InvalidParameters, ServingError
from lading.hardware import host as machine
from lading.load import probe
from lading.ports.backend import Endpoint, ServeRequest
from lading.spec import ref as refs
from lading.spec.study import BackendChoice
from lading.volume import servable
from lading.volume.servable import Servable

#: The engine for a format, when none is named.
ENGINE_OF = {"gguf": "llama.cpp", "huggingface": "vllm"}


def request(
    model: Servable,
    engine: str | None,
    parameters: Mapping[str, object],
    *,
    served_name: str | None = None,
    name: str | None = None,
    host: str = "127.0.0.1",
    lease: str | None = None,
) -> ServeRequest:
    """What to serve: *model* with *parameters*, checked against the engine's catalogue and rules.

    Raises:
        InvalidInput, InvalidParameters, FormatRefused: As named; nothing was started.
    """
    chosen = wiring.engine(engine or ENGINE_OF.get(model.format, model.format))
    params = chosen.parse(parameters)
    _check_rules(chosen, params, model)
    return ServeRequest(
        name=name or refs.model_name(model.name).replace("/", "-"),
        model=str(servable.path_for(model, chosen.name)),
        served_name=served_name or model.name,
        engine=chosen,
        params=params,
        host=host,
        lease=lease,
    )


def process_backend(choice: BackendChoice | None = None) -> ProcessBackend:
    """The backend of this machine's own processes."""
    backend = wiring.backend(choice or BackendChoice(kind="process"))
    assert isinstance(backend, ProcessBackend)
    return backend


async def endpoint_of(server: str, api_key_env: str | None = None) -> Endpoint:
    """Where to ask *server*: a URL, or what `lading serve` called it; its served name is empty where it is to be found out.

    Raises:
        InvalidInput: No server is called so.
    """
    if "://" in server:
        url = checked_url(server)
        choice = BackendChoice(kind="endpoint", url=url, api_key_env=api_key_env or API_KEY_VARIABLE)
        return Endpoint(base_url=url, served_name="", headers=EndpointBackend(choice, home=Path()).headers())
    backend = process_backend()
    found = backend.running(server)
    if found is None:
        raise InvalidInput(f"no server is called {server}", hint=known(await backend.names()))
    engine = wiring.engine(found.engine)
    return Endpoint(
        base_url=found.url,
        served_name=found.served_name,
        takes_token_ids=engine.takes_token_ids,
        request_body=dict(engine.request_body()),
    )


def result_folder(server: str) -> Path:
    """Where a measurement of *server* (a URL or a name) goes when no folder is given: a new one below the current."""
    where = urlsplit(server).netloc.rpartition("@")[2] or server
    return Path(f"bench-{re.sub('[^A-Za-z0-9.]+', '-', where)}-{datetime.now().astimezone():%Y%m%d-%H%M%S}")


def known(names: tuple[str, ...]) -> str:
    """What servers there are, for a hint."""
    return f"running here: {', '.join(names)}" if names else "none runs here; `lading serve REF` starts one"


async def named(endpoint: Endpoint, model: str | None = None) -> Endpoint:
    """*endpoint* for *model*, or for the one model it serves where none was asked for.

    Raises:
        InvalidInput: It serves several, or none.
        MeasurementError: It cannot be asked.
    """
    if model or endpoint.served_name:
        return replace(endpoint, served_name=model or endpoint.served_name)
    served = await probe.models(endpoint)
    if len(served) != 1:
        names = ", ".join(one.name for one in served)
        raise InvalidInput(
            f"{endpoint.base_url} serves {names}" if served else f"{endpoint.base_url} lists no model",
            hint=f"name the model: --model {served[0].name if served else 'NAME'}",
        )
    return replace(endpoint, served_name=served[0].name, vocabulary=served[0].vocabulary)


async def asked_name(endpoint: Endpoint) -> str:
    """The name to ask *endpoint* for: its own, or that of the one model it serves.

    Raises:
        ServingError: It cannot be asked, or lists none or several.
    """
    async with _asking(endpoint) as client:
        return endpoint.served_name or await asking.only_name(client, within_s=30.0)


async def answer(
    endpoint: Endpoint, model: str, prompt: str, *, max_tokens: int, raw: bool = False
) -> AsyncIterator[str]:
    """The pieces of the answer to *prompt* as they come; *raw*: the text as it is, without a chat around it.

    Raises:
        ServingError: The server cannot be asked.
    """
    path, said = ("completions", {"prompt": prompt}) if raw else ("chat/completions", {"messages": _turn(prompt)})
    body: dict[str, Any] = {"model": model, "max_tokens": max_tokens, "stream": True, **said}
    async with _asking(endpoint) as client, aclosing(client.stream(f"/v1/{path}", body)) as events:
        async for event in events:
            choice = (event.get("choices") or [{}])[0]
            yield asking.printable((choice.get("delta") or {}).get("content") or choice.get("text") or "")


@asynccontextmanager
async def _asking(endpoint: Endpoint) -> AsyncIterator[asking.Client]:
    """A client of *endpoint*; a connection that breaks is a `ServingError`."""
    try:
        async with asking.Client(endpoint.base_url, endpoint.headers) as client:
            yield client
    except aiohttp.ClientError as error:
        raise ServingError(
            f"{endpoint.base_url} cannot be asked: {asking.unreachable(error)}", hint="is a server running there?"
        ) from error


def _turn(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def _check_rules(engine: Engine, params: Mapping[str, Any], model: Servable) -> None:
    broken = engine.violations(RuleInput(params=params, model=model.facts, hardware=machine.facts()))
    if broken:
        problems = [f"{rule.message}" + (f" ({rule.hint})" if rule.hint else "") for rule in broken]
        raise InvalidParameters(f"{engine.name} would not start with these parameters", problems=problems)
