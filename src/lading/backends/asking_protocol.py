"""What a server speaks: OpenAI's API, KServe's V1, V2 (the Open Inference Protocol). Found out by asking it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from lading.backends import asking
from lading.backends.asking import Answer, Client
from lading.errors import ServingError

Protocol = Literal["chat", "completions", "embeddings", "v1", "v2"]
OPENAI: tuple[Protocol, ...] = ("chat", "completions", "embeddings")
#: Where OpenAI's routes begin: of most servers, and of KServe's Hugging Face server.
_OPENAI_ROOTS = ("/v1", "/openai/v1")
_MOST_NAMES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What a server speaks.

    Attributes:
        openai: Where OpenAI's routes begin; None: it has none.
        models: The names it lists; empty where it has no list.
    """

    openai: str | None = None
    v1: bool = False
    v2: bool = False
    models: tuple[str, ...] = ()


async def spoken(client: Client, model: str | None = None, *, within_s: float) -> Spoken:
    """What the server speaks, by its lists of models, V2's metadata and V1's status of *model*.

    Raises:
        ServingError: It refuses to tell (401, 403), redirects, or speaks nothing that is known here.
        aiohttp.ClientError, TimeoutError: As `Client.get`.
    """
    seen: list[str] = []
    lists: dict[str, Any] = {}
    for root in _OPENAI_ROOTS:
        lists[root] = (await _asked(client, f"{root}/models", seen, within_s)).document
        if names := _openai_names(lists[root]):
            return Spoken(openai=root, models=names)
    v1_names = _plain_names(lists["/v1"])
    v2 = _is_v2(await _asked(client, "/v2", seen, within_s))
    v2_names = await _v2_names(client, within_s) if v2 else ()
    known = tuple(dict.fromkeys([*v1_names, *v2_names]))
    v1 = bool(v1_names)
    if name := model or (known[0] if len(known) == 1 else None):
        v1 = v1 or v1_ready((await _asked(client, v1_path(name), seen, within_s)).document) is not None
        v2 = v2 or _is_v2(await _asked(client, v2_path(name), seen, within_s))
    openai = next((root for root, listed in lists.items() if _openai_names(listed) is not None), None)
    if openai is None and not v1 and not v2:
        raise _unknown(client, seen, model)
    return Spoken(openai=openai, v1=v1, v2=v2, models=known)


def v1_path(model: str) -> str:
    """Where V1 tells a model's status; with ``:predict`` it predicts."""
    return f"/v1/models/{quote(model, safe='')}"


def v2_path(model: str) -> str:
    """Where V2 tells a model's metadata; below it are ``/ready`` and ``/infer``."""
    return f"/v2/models/{quote(model, safe='')}"


def v1_ready(document: object) -> bool | None:
    """Whether V1's status of a model says that it is ready: KServe's ``ready``, TensorFlow Serving's versions; None: it is no status."""
    if not isinstance(document, dict):
        return None
    versions = document.get("model_version_status")
    if isinstance(versions, list):
        return any(isinstance(version, dict) and version.get("state") == "AVAILABLE" for version in versions)
    ready = document.get("ready")
    return None if ready is None else ready is True or str(ready).lower() == "true"


async def _asked(client: Client, path: str, seen: list[str], within_s: float) -> Answer:
    """The answer at *path*, noted in *seen*.

    Raises:
        ServingError: It refuses to tell, or redirects.
    """
    answer = await client.get(path, within_s=within_s)
    if answer.status in {401, 403} or answer.location is not None:
        raise asking.refused(client.base_url + path, answer)
    seen.append(f"{path} {answer.status}")
    return answer if answer.status == 200 else Answer(status=answer.status, text=answer.text)


async def _v2_names(client: Client, within_s: float) -> tuple[str, ...]:
    """The models of a V2 server: KServe's list, or the index of MLServer and Triton."""
    answer = await client.get("/v2/models", within_s=within_s)
    if answer.status == 200 and (names := _plain_names(answer.document)):
        return names
    answer = await client.post("/v2/repository/index", {}, within_s=within_s)
    entries = answer.document if answer.status == 200 and isinstance(answer.document, list) else []
    return _printable(entry.get("name") for entry in entries if isinstance(entry, dict))


def _openai_names(document: object) -> tuple[str, ...] | None:
    """The names in OpenAI's list of models; None: it is no such list."""
    listed = document.get("data") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        return None
    return _printable(entry.get("id") for entry in listed if isinstance(entry, dict))


def _plain_names(document: object) -> tuple[str, ...]:
    listed = document.get("models") if isinstance(document, dict) else None
    return _printable(listed) if isinstance(listed, list) else ()


def _printable(names: Any) -> tuple[str, ...]:
    found = [name for name in names if isinstance(name, str) and name and name.isprintable()]
    return tuple(dict.fromkeys(found[:_MOST_NAMES]))


def _is_v2(answer: Answer) -> bool:
    return isinstance(answer.document, dict) and isinstance(answer.document.get("name"), str)


def _unknown(client: Client, seen: Sequence[str], model: str | None) -> ServingError:
    return ServingError(
        f"{client.base_url} speaks no protocol that is known here: {', '.join(seen)}",
        hint="say which with --protocol, and the model's name with --model"
        if model is None
        else f"is {model} its model's name? else say the protocol with --protocol",
    )
