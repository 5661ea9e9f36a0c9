"""From what a user names to what is served, and where to ask it."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lading import wiring
from lading.backends.endpoint import API_KEY_VARIABLE, EndpointBackend, checked_url
from lading.engines.base import Engine, HardwareFacts, RuleInput
from lading.errors import InvalidInput, InvalidParameters, InvalidReference, NotPublished
from lading.hardware import host as machine
from lading.load import probe
from lading.manifests import names
from lading.ports.backend import Endpoint, OnClaim, ServeRequest
from lading.spec import ref as refs
from lading.spec.ref import ClaimRef, LocalRef, Reference, SourceRef
from lading.spec.study import BackendChoice
from lading.volume import find, servable
from lading.volume.servable import Servable
from lading.wiring import servers, volumes

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
    claim: OnClaim | None = None,
) -> ServeRequest:
    """What to serve: *model* with *parameters*, checked against the engine's catalogue and rules.

    *claim* says where the model lies for a server in a cluster, whose hardware is not this machine's.

    Raises:
        InvalidInput, InvalidParameters, FormatRefused: As named; nothing was started.
    """
    chosen, _ = engine_for(model, engine)
    params = chosen.parse(parameters)
    _check_rules(chosen, params, model, None if claim else machine.facts())
    plain = refs.model_name(model.name).replace("/", "-")
    placed = claim and replace(claim, file=servable.file_for(model, chosen.name))
    return ServeRequest(
        name=name or (names.dns(plain) if claim else plain),
        model=_on_claim(placed) if placed else str(servable.path_for(model, chosen.name)),
        served_name=served_name or model.name,
        engine=chosen,
        params=params,
        host=host,
        lease=lease,
        claim=placed,
        format=model.format,
    )


def engine_for(model: Servable, given: str | None) -> tuple[Engine, str]:
    """The engine for *model*, and why it is that one; *given* where one was named.

    Raises:
        InvalidInput: There is no such engine, or none for the format.
    """
    if given:
        return wiring.engine(given), f"engine {given}: as asked"
    fitting = ENGINE_OF.get(model.format)
    if fitting is None:
        raise InvalidInput(
            f"{model.name} is {model.format}, and no engine here is known to serve that",
            hint=f"name one: --engine {' or --engine '.join(wiring.names('engines'))}",
        )
    return wiring.engine(fitting), f"engine {fitting}: the model is {model.format}"


def _on_claim(place: OnClaim) -> str:
    return "/".join(filter(None, (place.path, place.file))) or "."


@asynccontextmanager
async def asked(
    server: str,
    api_key_env: str | None = None,
    *,
    kind: str | None = None,
    namespace: str | None = None,
    context: str | None = None,
) -> AsyncIterator[Endpoint]:
    """Where to ask *server* for the length of the block: a URL, or what `lading serve` called it, on any backend.

    Its served name is empty where it is to be found out. Into a cluster it is a port-forward: for questions alone.

    Raises:
        InvalidInput: No server is called so, or several.
        ServingError: It cannot be asked.
    """
    if "://" in server:
        yield _endpoint_at(server, api_key_env)
        return
    choice = BackendChoice(kind=kind or "process", namespace=namespace, context=context)
    found, backend = await servers.the_one(server, choice, kind=kind)
    async with servers.reached(found, backend) as endpoint:
        yield _as_its_engine_wants(endpoint, found.engine)


async def endpoint_of(server: str, api_key_env: str | None = None) -> Endpoint:
    """As `asked`, for a server that is reached without a block: what is measured.

    Raises:
        InvalidInput: No server is called so, several, or it is in a cluster.
    """
    if "://" in server:
        return _endpoint_at(server, api_key_env)
    found, backend = await servers.the_one(server)
    if found.reach == "cluster":
        raise InvalidInput(
            f"{server} is in the cluster ({found.backend}): through a port-forward the way would be measured, not it",
            hint=f"ask it with `lading ask {server}`; from inside the cluster it is at {found.url or 'its Service'}",
        )
    async with servers.reached(found, backend) as endpoint:
        return _as_its_engine_wants(endpoint, found.engine)


def _endpoint_at(url: str, api_key_env: str | None) -> Endpoint:
    checked = checked_url(url)
    choice = BackendChoice(kind="endpoint", url=checked, api_key_env=api_key_env or API_KEY_VARIABLE)
    return Endpoint(base_url=checked, served_name="", headers=EndpointBackend(choice, home=Path()).headers())


def _as_its_engine_wants(endpoint: Endpoint, engine: str) -> Endpoint:
    if engine not in wiring.names("engines"):
        return endpoint
    known = wiring.engine(engine)
    return replace(endpoint, takes_token_ids=known.takes_token_ids, request_body=dict(known.request_body()))


def pulled_as(source: Reference, dest: Reference) -> tuple[str, str]:
    """The model's name on *dest* once *source* was pulled there, and the reference that names it.

    Raises:
        InvalidInput: *dest* is no volume.
    """
    if isinstance(dest, SourceRef):
        raise InvalidInput(f"--pull {dest.shown} is no volume", hint="a folder, or pvc://claim")
    if isinstance(dest, ClaimRef):
        model = dest.model or _named_after(source)
        return model, str(replace(dest, model=model))
    place, named, version = volumes.destination(dest, None, None)
    model = named or _named_after(source)
    return model, f"{place}/{model}" + (f"@{version}" if version else "")


def _named_after(source: Reference) -> str:
    """A model's name after the last word of *source* that says what it is."""
    match source:
        case LocalRef():
            text = Path(source.path).expanduser().absolute().name
        case ClaimRef():
            return source.model or refs.model_name(source.claim)
        case SourceRef():
            text = source.shown.rstrip("/").rpartition("/")[2].partition("@")[0]
    return refs.model_name(re.sub(r"\.(gguf|tar|tar\.gz|tgz|zip)$", "", text))


def version_of(path: str) -> str | None:
    """``model@version`` of what lies at *path* on a volume of this machine; None where no manifest has it."""
    found = find.around(LocalRef(path=path))
    if found is None:
        return None
    volume, within = found
    parts = within.split("/")
    for last in range(len(parts), 1, -1):
        try:
            manifest = volume.manifest("/".join(parts[: last - 1]), parts[last - 1])
        except (NotPublished, InvalidReference):
            continue
        return f"{manifest.model}@{manifest.version}"
    return None


def result_folder(server: str) -> Path:
    """Where a measurement of *server* (a URL or a name) goes when no folder is given: a new one below the current."""
    where = urlsplit(server).netloc.rpartition("@")[2] or server
    return Path(f"bench-{re.sub('[^A-Za-z0-9.]+', '-', where)}-{datetime.now().astimezone():%Y%m%d-%H%M%S}")


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
        listed = ", ".join(one.name for one in served)
        raise InvalidInput(
            f"{endpoint.base_url} serves {listed}" if served else f"{endpoint.base_url} lists no model",
            hint=f"name the model: --model {served[0].name if served else 'NAME'}",
        )
    return replace(endpoint, served_name=served[0].name, vocabulary=served[0].vocabulary)


def _check_rules(engine: Engine, params: Mapping[str, Any], model: Servable, hardware: HardwareFacts | None) -> None:
    broken = engine.violations(RuleInput(params=params, model=model.facts, hardware=hardware))
    if broken:
        problems = [f"{rule.message}" + (f" ({rule.hint})" if rule.hint else "") for rule in broken]
        raise InvalidParameters(f"{engine.name} would not start with these parameters", problems=problems)
