"""What a server can be given: a version on a volume, or a plain folder or file, resolved to one path and checked.

The path never goes through `current`: a restart must load what was measured. A volume that is elsewhere (a claim, through
its agent) is asked for its manifest and the heads of its files; not more than these come here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lading.engines import facts as model_facts
from lading.engines.base import ModelFacts
from lading.errors import FormatRefused, InvalidReference, NotPublished, SourceMissing
from lading.ports.volume import Volume
from lading.spec import ref as refs
from lading.spec.ref import LocalRef, Reference, SourceRef
from lading.volume import find
from lading.volume.find import Found
from lading.weights import formats, gguf
from lading.weights.manifest import Manifest

#: Bytes of a file by its path in the model: from an offset, up to a count.
Read = Callable[[str, int, int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Servable:
    """A model that can be served.

    Attributes:
        path: Absolute, where its volume is; a folder, or a file.
        name: The model's name: what it is served under unless told otherwise.
        format: As the manifest says, or as the format check found it.
        facts: What its own files say about its shape.
        weights: The files that hold the weights, relative to the folder, sorted.
        manifest: None: nobody vouches for the bytes.
        within: Its folder, from the root of the volume it is on (``.``: the root itself); None: it is on none.
    """

    path: Path
    name: str
    format: str
    facts: ModelFacts
    weights: tuple[str, ...] = ()
    manifest: Manifest | None = None
    within: str | None = None

    @property
    def unmanaged(self) -> bool:
        """Whether there is no manifest."""
        return self.manifest is None


def servable(ref: Reference) -> Servable:
    """What *ref* names, ready to be served.

    Raises:
        InvalidReference: It is not on this machine.
        NotPublished: The volume has no such model or version.
        FormatRefused: A plain folder or file that is no whole model.
    """
    if not isinstance(ref, LocalRef):
        shown = ref.shown if isinstance(ref, SourceRef) else ref
        raise InvalidReference(
            f"{shown} is not on this machine: a server here reads a folder, a file or a model on a volume",
            hint=f"lading pull {shown} ./volume",
        )
    found = find.locate(ref)
    if found is not None and found.model is None:
        raise _whole_volume(found)
    if found is None or found.model is None or not _names_a_model(found):
        return _unmanaged(ref)
    return published(found.volume, found.model, found.version)


def published(volume: Volume, model: str, version: str | None = None) -> Servable:
    """A version on *volume*, wherever that is; None: the current one, pinned.

    Raises:
        NotPublished: The volume has no such model or version.
        FormatRefused: The heads of its files cannot be read.
    """
    manifest = volume.manifest(model, version)
    files = {file.path: file.size_bytes for file in manifest.files}
    return Servable(
        path=volume.directory(manifest), name=manifest.model, format=manifest.format,
        facts=_facts(_plain_reader(volume, manifest.path), files, manifest.format),
        weights=_weights(files, manifest.format), manifest=manifest, within=manifest.path,
    )  # fmt: skip


def on_volume(found: Found) -> Servable:
    """What *found* names on a volume that is elsewhere: a published version, or a folder without a manifest.

    Raises:
        InvalidReference: It names the whole volume.
        NotPublished: There is neither.
        FormatRefused: The folder is no whole model.
    """
    if found.model is None:
        raise _whole_volume(found)
    try:
        return published(found.volume, found.model, found.version)
    except NotPublished:
        folder = next((one for one in found.volume.unmanaged() if one.path == found.model), None)
        if folder is None or found.version is not None:
            raise
    if folder.problem:
        raise FormatRefused(f"{found.volume.shown}/{folder.path} cannot be served: {folder.problem}")
    return Servable(
        path=found.volume.root / folder.path, name=refs.model_name(folder.path.rpartition("/")[2]),
        format=folder.format, facts=_facts(_plain_reader(found.volume, folder.path), folder.files, folder.format),
        weights=_weights(folder.files, folder.format), within=folder.path,
    )  # fmt: skip


def path_for(model: Servable, engine: str) -> Path:
    """What *engine* is given: llama.cpp one GGUF file (the first part of a split one), others the folder.

    Raises:
        FormatRefused: There is no such file, or there are several models.
    """
    file = file_for(model, engine)
    return model.path if file is None or (model.unmanaged and model.path.is_file()) else model.path / file


def file_for(model: Servable, engine: str) -> str | None:
    """The one file of its folder that *engine* is given; None: it is given the folder.

    Raises:
        FormatRefused: There is no such file, or there are several models.
    """
    if engine != "llama.cpp":
        return None
    whole = [path for path in model.weights if not re.search(r"-\d{5}-of-\d{5}\.gguf$", path) or "-00001-of-" in path]
    if model.format != "gguf" or len(whole) != 1:
        found = ", ".join(whole) if model.format == "gguf" else model.format
        raise FormatRefused(
            f"llama.cpp serves one GGUF model; {model.path} has {found or 'none'}", hint="name the .gguf file itself"
        )
    return whole[0]


def facts(path: Path, files: Mapping[str, int], kind: str) -> ModelFacts:
    """What the *files* (path → size) of a model of format *kind* under *path* say about its shape.

    Raises:
        FormatRefused: Their heads cannot be read.
    """
    return _facts(_reader(path), files, kind)


def _facts(read: Read, files: Mapping[str, int], kind: str) -> ModelFacts:
    if kind == "gguf":
        first = min(name for name in files if name.endswith(".gguf"))
        return model_facts.of_gguf(gguf.head(first, files[first], read))
    if kind == "huggingface":
        weights = sum(
            size for name, size in files.items() if name.endswith((".safetensors", ".bin")) and "/" not in name
        )
        return model_facts.of_config(formats.json_object(formats.CONFIG, files, read), weights)
    return ModelFacts(format=kind)


def _names_a_model(found: Found) -> bool:
    """Whether the reference means a model of the volume; other paths that exist in it are plain folders and files."""
    return found.version is not None or found.volume.current(found.model or "") is not None or not _there(found)


def _whole_volume(found: Found) -> InvalidReference:
    models = sorted({manifest.model for manifest in found.volume.manifests()})
    known = f"its models: {', '.join(models[:8])}" if models else "nothing is published on it"
    return InvalidReference(f"{found.volume.shown} is a volume, not a model", hint=known)


def _there(found: Found) -> bool:
    return (found.volume.root / (found.model or "")).exists()


def _unmanaged(ref: LocalRef) -> Servable:
    path = Path(ref.path).expanduser().absolute()
    if ref.version is not None:
        raise InvalidReference(f"{ref.path} is on no volume: it has no version {ref.version}", hint=f"name {ref.path}")
    if not path.exists():
        raise SourceMissing(f"{ref.path} does not exist", hint="name a model on a volume, a folder or a GGUF file")
    root = path.parent if path.is_file() else path
    names = [path] if path.is_file() else [file for file in sorted(path.iterdir()) if file.is_file()]
    files = {file.name: file.stat().st_size for file in names}
    found = formats.check(files, _reader(root))
    return Servable(
        path=path, name=refs.model_name(path.stem if path.is_file() else path.name), format=found.kind,
        facts=facts(root, files, found.kind), weights=found.weights,
    )  # fmt: skip


def _weights(files: Mapping[str, int], kind: str) -> tuple[str, ...]:
    return tuple(sorted(name for name in files if kind != "gguf" or name.endswith(".gguf")))


def _plain_reader(volume: Volume, folder: str) -> Read:
    """Reads parts of files in *folder*, from the root of a volume that may be elsewhere."""

    def read(path: str, offset: int, count: int) -> bytes:
        with volume.open_plain(path if folder == "." else f"{folder}/{path}") as file:
            file.seek(offset)
            return file.read(count)

    return read


def _reader(root: Path) -> Read:
    def read(path: str, offset: int, count: int) -> bytes:
        with (root / path).open("rb") as file:
            file.seek(offset)
            return file.read(count)

    return read
