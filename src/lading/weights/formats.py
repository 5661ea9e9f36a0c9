"""Whether files are a whole model that a server can load: the rules of each format, on names, sizes and heads of files.

- **huggingface**: `config.json` and weights at the top. Every shard that an index names is there, every tensor of the
  index in its shard and no other; every safetensors header parses and its tensors end where the file ends.
- **gguf**: magic, version, metadata, and a tensor table that lies inside the file; all parts of a split model.
- **sklearn**: exactly one ``.joblib``, ``.pkl`` or ``.pickle`` at the top, dotfiles counted: KServe's sklearnserver
  refuses a second one.

Tensors are never read. What is none of these is refused, unless it is published as plain ``files``.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lading.errors import FormatRefused, InvalidInput
from lading.spec.nearest import nearest
from lading.weights import bounded, gguf, safetensors

Read = Callable[[str, int, int], bytes]
Files = Mapping[str, int]
JSON_BYTES = bounded.SIZE_BYTES
CONFIG = "config.json"
SAFETENSORS_INDEX = "model.safetensors.index.json"
_INDEX = re.compile(r"[^/]+\.(?:safetensors|bin)\.index(?:\.[A-Za-z0-9_]+)?\.json")
_PICKLES = (".joblib", ".pkl", ".pickle")
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.safetensors|\.bin|\.gguf)")
_ANY = "to publish it as it is, unchecked: --expect any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What files were found to be.

    Attributes:
        kind: ``huggingface``, ``gguf``, ``sklearn``, or ``files`` for unchecked ones.
        weights: Paths of the files that hold the weights, sorted; for GGUF the one to start a server with comes first.
        tensors: How many tensors their heads name; None where the format has no head.
    """

    kind: str
    weights: tuple[str, ...]
    tensors: int | None = None


def check(files: Files, read: Read, *, expect: str = "auto") -> Format:
    """What *files* (path → size in bytes) are, when they are whole; *read* gives bytes of a file: path, offset, count.

    *expect* is the kind they must be; ``auto``: whichever they are; ``any``: not checked.

    Raises:
        FormatRefused: Half of it is missing, a file is not what its name says, or it is no known format.
        InvalidInput: *expect* is no format.
    """
    if expect not in {"auto", "any", *_RULES}:
        near = nearest(expect, ["auto", "any", *_RULES])
        raise InvalidInput(
            f"{expect!r} is no format",
            hint=f"did you mean `{near}`?" if near else f"one of auto, any, {', '.join(_RULES)}",
        )
    if expect == "any":
        return Format(kind="files", weights=())
    kind = kind_of(files)
    if kind is None:
        raise FormatRefused(f"no model is in these {len(files)} files: {_some(files)}", hint=_ANY)
    if expect not in {"auto", kind}:
        raise FormatRefused(f"this is {kind}, not {expect}: {_some(files)}", hint=f"--expect {kind}, or leave it out")
    return _RULES[kind](files, read)


def kind_of(files: Iterable[str]) -> str | None:
    """Which format the names stand for; None for none. Says nothing of whether they are whole."""
    top = [path for path in files if "/" not in path]
    if any(path.endswith(".safetensors") or _INDEX.fullmatch(path) or _is_torch(path) for path in top):
        return "huggingface"
    if any(path.endswith(".gguf") for path in files):
        return "gguf"
    if any(path.endswith(_PICKLES) for path in top):
        return "sklearn"
    return "huggingface" if CONFIG in top else None


# ------------------------------------------------------------------------------------------------------- huggingface


def _huggingface(files: Files, read: Read) -> Format:
    weights = sorted(path for path in files if "/" not in path and (path.endswith(".safetensors") or _is_torch(path)))
    indexes = [path for path in sorted(files) if _INDEX.fullmatch(path)]
    if not weights and not indexes:
        raise FormatRefused(f"half a model: {CONFIG} is there, weights are not; found {_some(files)}", hint=_ANY)
    if CONFIG not in files:
        raise FormatRefused(f"half a model: {CONFIG} is missing beside {_some(weights)}", hint=_ANY)
    json_object(CONFIG, files, read)
    maps = {name: _weight_map(name, files, read) for name in indexes}
    _check_numbered(weights, indexed={shard for weight_map in maps.values() for shard in weight_map.values()})
    headers = {
        path: safetensors.header(path, size_bytes, read)
        for path, size_bytes in sorted(files.items())
        if path.endswith(".safetensors")
    }
    for name, weight_map in maps.items():
        if ".safetensors." in name:
            _check_map(name, weight_map, headers)
    return Format(
        kind="huggingface",
        weights=tuple(weights),
        tensors=sum(len(headers[path]) for path in weights if path in headers) or None,
    )


def _weight_map(name: str, files: Files, read: Read) -> dict[str, str]:
    """Tensor → shard, of an index all of whose shards are there."""
    found = json_object(name, files, read).get("weight_map")
    if not isinstance(found, dict) or not all(isinstance(shard, str) for shard in found.values()):
        raise FormatRefused(f"{name} has no weight_map of names to files", hint="fetch or save it again")
    shards = sorted(set(found.values()))
    missing = [shard for shard in shards if shard not in files]
    if missing:
        raise FormatRefused(
            f"half a model: {len(missing)} of the {len(shards)} shards that {name} names are missing: {_some(missing)}",
            hint="complete the source, then pull again",
        )
    return found


def _check_numbered(weights: Sequence[str], *, indexed: set[str]) -> None:
    """Shards that no index names: by their own numbers, all are there; and then their index is what is missing."""
    for path in weights:
        shard = _SHARD.fullmatch(path)
        if shard is None or path in indexed:
            continue
        _check_all_parts(path, weights)
        index = f"{shard['stem']}{shard['suffix']}.index.json"
        raise FormatRefused(
            f"half a model: {path} is one of {int(shard['count'])} shards, but the index {index} is missing",
            hint="complete the source, then pull again",
        )


def _check_map(index: str, weight_map: Mapping[str, str], headers: Mapping[str, Mapping[str, object]]) -> None:
    """The index names exactly the tensors that its shards have."""
    for tensor, shard in weight_map.items():
        if tensor not in headers.get(shard, ()):
            raise FormatRefused(
                f"half a model: {index} says that {shard} has the tensor {bounded.shown(tensor)!r}; it has not",
                hint="index and shards are of two versions: fetch all of one",
            )
    for shard in sorted(set(weight_map.values())):
        for tensor in headers[shard]:
            if weight_map.get(tensor) != shard:
                raise FormatRefused(
                    f"{shard} has the tensor {bounded.shown(tensor)!r}, which {index} does not name there",
                    hint="index and shards are of two versions: fetch all of one",
                )


def _is_torch(path: str) -> bool:
    return re.fullmatch(r"pytorch_model(-\d{5}-of-\d{5})?\.bin", path) is not None


# -------------------------------------------------------------------------------------------------------------- gguf


def _gguf(files: Files, read: Read) -> Format:
    weights = sorted(path for path in files if path.endswith(".gguf"))
    tensors = 0
    for path in weights:
        _check_all_parts(path, weights)
        tensors += len(gguf.head(path, files[path], read).tensors)
    return Format(kind="gguf", weights=tuple(weights), tensors=tensors)


def _check_all_parts(path: str, there: Sequence[str]) -> None:
    """Of ``x-00002-of-00003`` all three are there."""
    part = _SHARD.fullmatch(path)
    if part is None:
        return
    count = int(part["count"])
    names = [f"{part['stem']}-{number:05}-of-{count:05}{part['suffix']}" for number in range(1, min(count, 9999) + 1)]
    missing = [name for name in names if name not in there]
    if missing:
        raise FormatRefused(
            f"half a model: {len(missing)} of {count} parts are missing: {_some(missing)}",
            hint="complete the source, then pull again",
        )


# ----------------------------------------------------------------------------------------------------------- sklearn


def _sklearn(files: Files, read: Read) -> Format:
    del read  # a pickle has no head, and loading one runs what it says
    models = sorted(path for path in files if "/" not in path and path.endswith(_PICKLES))
    if len(models) > 1:
        raise FormatRefused(
            f"{len(models)} model files at the top, and sklearnserver takes exactly one: {_some(models)}",
            hint="keep one, or give each a version of its own; --exclude leaves files out",
        )
    if files[models[0]] == 0:
        raise FormatRefused(f"{models[0]} is empty", hint="save it again")
    return Format(kind="sklearn", weights=tuple(models))


# -------------------------------------------------------------------------------------------------------------- parts

_RULES: Mapping[str, Callable[[Files, Read], Format]] = {
    "huggingface": _huggingface,
    "gguf": _gguf,
    "sklearn": _sklearn,
}


def json_object(path: str, files: Files, read: Read) -> dict[str, Any]:
    """The JSON object in the file at *path*.

    Raises:
        FormatRefused: There is none.
    """
    if files[path] > JSON_BYTES:
        raise FormatRefused(f"{path} has {files[path]:,} bytes; no such file is that long")
    try:
        found = bounded.parsed(read(path, 0, files[path]))
    except ValueError as error:
        raise FormatRefused(f"{path} is not JSON: {error}", hint="fetch or save it again") from error
    if not isinstance(found, dict):
        raise FormatRefused(f"{path} is not a JSON object", hint="fetch or save it again")
    return found


def _some(paths: Iterable[str]) -> str:
    """The first few names, and how many more."""
    names = sorted(map(bounded.shown, paths))
    more = f" and {len(names) - 4} more" if len(names) > 5 else ""
    return ", ".join(names[: 4 if more else 5]) + more or "none"
