"""The forms in which a model's weights are stored, by the names that libraries write: which files are one set, which sets are the same.

A *set* is all files of one form (and variant): shards with their index, or a single file. A *place* is where sets of the same weights
lie beside each other: a directory with the configuration of its model, or all quantisations of a GGUF model. Names that no library
writes are no sets: nothing is decided about them.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

FORMS = ("safetensors", "bin", "consolidated", "gguf", "tf", "flax")
LOADED_BY_LIBRARIES = ("safetensors", "bin")
"""In this order: what every server loads of a directory with a `config.json`; pickles last."""
PRECISIONS = ("", "bf16", "fp16", "fp32")
"""Variants that are the same weights, in the order in which one is taken: what loaders take unasked first."""
_NUMBERED = r"(?:-(?P<number>\d{5})-of-(?P<count>\d{5}))?"
_VARIANT = r"(?:\.(?P<{}>[A-Za-z][A-Za-z0-9_]{{0,15}}))?"
_SAFE = r"(?P<stem>(?:diffusion_pytorch_|adapter_|open_clip_|open_clip_pytorch_)?model)"
_BIN = r"(?P<stem>(?:diffusion_)?pytorch_model|adapter_model|open_clip_pytorch_model)"
_FILE = _VARIANT.format("variant") + _NUMBERED + _VARIANT.format("behind")
_INDEX = r"\.index" + _VARIANT.format("variant") + r"\.json"
_PATTERNS = [
    (form, index, re.compile(pattern))
    for form, index, pattern in [
        ("safetensors", False, _SAFE + _FILE + r"\.safetensors"),
        ("safetensors", True, _SAFE + r"\.safetensors" + _INDEX),
        ("bin", False, _BIN + _FILE + r"\.bin"),
        ("bin", True, _BIN + r"\.bin" + _INDEX),
        (
            "consolidated",
            False,
            r"(?P<stem>consolidated)(?:\.\d\d)?" + _NUMBERED + r"\.(?:safetensors|(?P<behind>pth|pt))",
        ),
        ("consolidated", True, r"(?P<stem>consolidated)\.safetensors" + _INDEX),
        ("tf", False, r"tf_(?P<stem>model)" + _NUMBERED + r"\.h5"),
        ("tf", True, r"tf_(?P<stem>model)\.h5" + _INDEX),
        ("flax", False, r"(?P<stem>(?:diffusion_)?flax_model)" + _NUMBERED + r"\.msgpack"),
        ("flax", True, r"(?P<stem>(?:diffusion_)?flax_model)\.msgpack" + _INDEX),
    ]
]
_FAMILIES = {
    "pytorch_model": "model", "consolidated": "model", "flax_model": "model",
    "diffusion_flax_model": "diffusion_pytorch_model", "open_clip_pytorch_model": "open_clip_model",
}  # fmt: skip
_CONFIGS = {"adapter_model": ("adapter_config.json",), "open_clip_model": ("open_clip_config.json",)}
_BESIDE = re.compile(r".*\.(?:onnx|onnx_data|tflite|mlmodel|ot)|openvino_model.*\.(?:bin|xml)")
_FOLDERS = ("onnx", "openvino", "coreml", "original", "metal")
_QUANTISATION = re.compile(
    r"(?:^|(?<=[-._/]))(?P<name>(?:UD-)?(?:I?Q\d(?:_[0-9A-Z]{1,3})*|TQ\d_\d|MXFP4(?:_MOE)?|B?F16|FP16|F32|FP32))(?=[-._/]|$)",
    re.IGNORECASE,
)
_SPLIT = re.compile(r"-(?P<number>\d{5})-of-(?P<count>\d{5})$")
_LEGAL = re.compile(
    r"(?:.*[-_. ])?(?:licen[sc]e|notice|copying|copyright|use[-_ ]?policy|readme)s?(?:[-_. ].*)?", re.IGNORECASE
)
_PICKLES = re.compile(
    r".*\.(?:pt|pth|pkl|pickle|joblib|ckpt)|(?:.*_)?(?:pytorch_model|adapter_model).*\.bin"
    r"|(?:training_args|optimizer|scheduler)\.bin",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSet:
    """All files of one form of some weights.

    Attributes:
        form: One of `FORMS`.
        variant: ``fp16``, a quantisation; empty: the one that is meant unasked.
        paths: Sorted; shards with their index.
        sharded: It is in numbered files.
        whole: All shards are there, and the index that they need.
    """

    form: str
    variant: str
    paths: tuple[str, ...]
    sharded: bool = False
    whole: bool = True

    @property
    def name(self) -> str:
        """As a person asks for it: ``safetensors``, ``gguf:Q4_K_M``."""
        return f"{self.form}:{self.variant}" if self.variant else self.form


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Sets of the same weights, and what else is another form of them: all files below a folder such as ``onnx``."""

    sets: tuple[WeightSet, ...]
    beside: tuple[str, ...] = ()


def places(paths: Collection[str]) -> list[Place]:
    """Where among *paths* weights are in one form or several; the quantisations of a model that lies there in full, too."""
    ordered = sorted(paths)
    quantised = _quantised(ordered)
    sets = _sets(ordered)
    by_folder: defaultdict[str, list[str]] = defaultdict(list)
    for path in ordered:
        by_folder[path.rpartition("/")[0]].append(path)
    main = [place for place in sets if not place[0] and any(one.form in LOADED_BY_LIBRARIES for one in sets[place])]
    found = [_main_place(sets.pop(place), quantised, by_folder) for place in main]
    if main:
        quantised = []
        sets = {place: ours for place, ours in sets.items() if place[0].partition("/")[0] not in _FOLDERS}
    found += [
        Place(sets=tuple(ours), beside=tuple(_beside(folder, by_folder))) for (folder, _), ours in sorted(sets.items())
    ]
    return [*found, *(Place(sets=tuple(group)) for _, group in quantised)]


def is_kept(path: str) -> bool:
    """Whether *path* is a licence, a notice or a readme, which always come."""
    return _LEGAL.fullmatch(PurePosixPath(path).name) is not None


def pickles(paths: Collection[str]) -> list[str]:
    """Which of *paths* are Python's pickles, by their names."""
    return sorted(path for path in paths if _PICKLES.fullmatch(PurePosixPath(path).name))


def is_pickle(head: bytes) -> bool:
    """Whether a file that begins with *head* is a pickle: its first opcode, or the archive that PyTorch puts one into."""
    return (head[:1] == b"\x80" and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}) or head.startswith(b"PK\x03\x04")


# ------------------------------------------------------------------------------------------------------------ by name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    form: str
    family: str
    variant: str
    count: int
    number: int
    index: bool
    path: str


def _sets(paths: Sequence[str]) -> dict[tuple[str, str], list[WeightSet]]:
    """The sets of each directory that has a configuration, by its family of names."""
    there = set(paths)
    by_place: defaultdict[tuple[str, str], list[_Named]] = defaultdict(list)
    for path in paths:
        folder, _, name = path.rpartition("/")
        named = _named(name, path)
        if named is None:
            continue
        configs = _CONFIGS.get(named.family, ("config.json", "params.json"))
        if any(f"{folder}/{config}".lstrip("/") in there for config in configs):
            by_place[folder, named.family].append(named)
    return {place: list(_grouped(found)) for place, found in by_place.items()}


def _main_place(
    ours: Sequence[WeightSet],
    quantised: Sequence[tuple[str, Sequence[WeightSet]]],
    by_folder: Mapping[str, Sequence[str]],
) -> Place:
    """The place of a model at the top: its quantisations are other sets of it, all other GGUF files are beside it."""
    main = [one for family, group in quantised if family != "mmproj" for one in group]
    among = {path for one in main for path in one.paths}
    gguf = [path for paths in by_folder.values() for path in paths if path.endswith(".gguf") and path not in among]
    return Place(sets=(*ours, *main), beside=(*_beside("", by_folder), *gguf))


def _named(name: str, path: str) -> _Named | None:
    for form, index, pattern in _PATTERNS:
        found = pattern.fullmatch(name)
        if found is None:
            continue
        parts = found.groupdict()
        if parts.get("variant") and parts.get("behind"):
            return None
        stem = parts["stem"]
        return _Named(
            form=form,
            family=_FAMILIES.get(stem, stem),
            variant=parts.get("variant") or parts.get("behind") or "",
            count=int(parts.get("count") or 0),
            number=int(parts.get("number") or 0),
            index=index,
            path=path,
        )
    return None


def _grouped(found: Sequence[_Named]) -> Iterator[WeightSet]:
    """Shards of one count are a set, single files another; the index goes with the shards."""
    by_set: defaultdict[tuple[str, str, int], list[_Named]] = defaultdict(list)
    indexes: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for one in found:
        if one.index:
            indexes[one.form, one.variant].append(one.path)
        else:
            by_set[one.form, one.variant, one.count].append(one)
    with_shards = {(form, variant) for form, variant, count in by_set if count}
    for (form, variant, count), files in sorted(by_set.items()):
        ours = indexes[form, variant] if bool(count) == ((form, variant) in with_shards) else []
        yield WeightSet(
            form=form,
            variant=variant,
            paths=tuple(sorted([*(one.path for one in files), *ours])),
            sharded=bool(count),
            whole=not count or (_all_there([one.number for one in files], count) and bool(ours)),
        )


def _all_there(numbers: Sequence[int], count: int) -> bool:
    """Whether *numbers* are 1 to *count*; how many there are is looked at first, as *count* may be anything."""
    return len(numbers) == count and set(numbers) == set(range(1, count + 1))


def _beside(folder: str, by_folder: Mapping[str, Sequence[str]]) -> list[str]:
    """Files of *folder* in forms for other runtimes; at the top, also folders that are called after such a form."""
    beside = [path for path in by_folder.get(folder, ()) if _BESIDE.fullmatch(path.rpartition("/")[2])]
    if not folder:
        beside += [path for name, paths in by_folder.items() if name.partition("/")[0] in _FOLDERS for path in paths]
    return beside


# -------------------------------------------------------------------------------------------------------------- GGUF


def _quantised(paths: Sequence[str]) -> list[tuple[str, list[WeightSet]]]:
    """GGUF files that differ in their quantisation alone, by what they have in common."""
    families: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in paths:
        if path.endswith(".gguf"):
            family, quantisation = _quantisation(path.removesuffix(".gguf"))
            if quantisation:
                families[family][quantisation].append(path)
    return [
        (family, [_quantised_set(*item) for item in sorted(sets.items())]) for family, sets in sorted(families.items())
    ]


def _quantisation(stem: str) -> tuple[str, str]:
    """What a file is called without its quantisation, and that: ``q/M-Q8_0-00001-of-00002`` → ``q/m``, ``Q8_0``."""
    folder, _, name = _SPLIT.sub("", stem).rpartition("/")
    found = list(_QUANTISATION.finditer(name))
    if not found:
        return "", ""
    rest = (name[: found[-1].start()] + name[found[-1].end() :]).strip("-._").lower()
    folders = [part for part in folder.split("/") if part and not _QUANTISATION.fullmatch(part)]
    quantisation = found[-1]["name"].upper().replace("FP", "F")
    return ("mmproj" if rest.startswith("mmproj") else "/".join([*folders, rest])), quantisation


def _quantised_set(quantisation: str, paths: Sequence[str]) -> WeightSet:
    splits = [found for path in paths if (found := _SPLIT.search(path.removesuffix(".gguf")))]
    counts = {int(one["count"]) for one in splits}
    whole = (
        len(splits) == len(paths) and len(counts) == 1 and _all_there([int(one["number"]) for one in splits], *counts)
    )
    return WeightSet(
        form="gguf",
        variant=quantisation,
        paths=tuple(sorted(paths)),
        sharded=bool(splits),
        whole=whole or (not splits and len(paths) == 1),
    )
