"""What of a source is taken: by patterns, and one set of weights where it has several.

A repository often holds the same weights two or three times: safetensors beside pickles, consolidated beside sharded, in two
precisions, for TensorFlow, Flax and ONNX, in a dozen quantisations. A server reads one. Which files are another form of the same weights
is known for certain only by the names that libraries write (`lading.weights.forms`): all else is taken as it is. Never half a set;
configuration, tokenizer, licence and readme always come.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from lading.errors import InvalidInput
from lading.spec import units
from lading.spec.nearest import nearest
from lading.spec.pull import Choices
from lading.spec.ref import Reference, SourceRef
from lading.weights import formats, forms, listing
from lading.weights.forms import Place, WeightSet
from lading.weights.listing import Entry, Listing
from lading.weights.signing import SIGNATURE

Read = Callable[[str, int, int], bytes]
AUTO = "auto"
ALL = "all"
QUANTISATIONS = (
    "Q4_K_M", "Q4_K_S", "Q4_0", "Q4_1", "Q5_K_M", "Q5_K_S", "Q5_0", "Q5_1", "Q6_K", "Q8_0", "MXFP4", "BF16", "F16", "F32",
)  # fmt: skip
"""The first of these that is there is taken where nobody says: as llama.cpp does, then the next better one."""
PROJECTORS = ("F16", "BF16", "F32", "Q8_0")
"""The same for a model's eyes and ears (`mmproj`), which are small."""
CONFIG_BYTES = 16 << 20
LOOKED_AT = 16
_PUBLIC = ("hf", "http", "https")
_PIPELINES = (".safetensors", ".ckpt")
_PICKLED = "{}: pickles, which run code of their author when they are loaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is taken, what of the source is not, and what a person should read of both before it is fetched."""

    listing: Listing
    left_out: tuple[Entry, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def bytes_saved(self) -> int:
        """What is not taken, as far as the source says sizes."""
        return sum(entry.size_bytes or 0 for entry in self.left_out)


def choose(found: Listing, choices: Choices) -> Selection:
    """What of *found* to take; a revision of its own where that is not all, as it is other content.

    Patterns come first (`fnmatch`: ``*`` goes over ``/``; one that ends in ``/`` means all below). Who names what to include takes
    exactly that, every set of it, unless `prefer` says which; licences come unless they are excluded.

    Raises:
        InvalidInput: Nothing is left, or there are no whole weights in the form that is preferred.
    """
    kept = by_patterns(found, choices)
    one = OneSet()
    if choices.prefer != ALL and not (choices.include and choices.prefer == AUTO):
        one = one_set({entry.path: entry.size_bytes for entry in kept}, choices.prefer, shown=str(found.ref))
        kept = tuple(entry for entry in kept if entry.path not in one.dropped)
    notes = (*_notes(found, one), *warnings([entry.path for entry in kept], found.ref))
    if len(kept) == len(found.entries):
        return Selection(listing=found, notes=notes)
    taken = {entry.path for entry in kept}
    return Selection(
        listing=replace(found, entries=kept, revision=listing.digest(kept), version=None),
        left_out=tuple(entry for entry in found.entries if entry.path not in taken),
        notes=notes,
    )


def by_patterns(found: Listing, choices: Choices) -> tuple[Entry, ...]:
    """The entries that the patterns of *choices* take.

    Raises:
        InvalidInput: Nothing is left, or only what always comes.
    """
    kept = tuple(entry for entry in found.entries if is_taken(entry.path, choices))
    if found.entries and not any(not choices.include or matches(entry.path, choices.include) for entry in kept):
        said = " ".join(
            [*(f"--include {one}" for one in choices.include), *(f"--exclude {one}" for one in choices.exclude)]
        )
        raise InvalidInput(f"{said} leaves nothing of {found.ref}")
    return kept


def is_taken(path: str, choices: Choices) -> bool:
    """Whether a pattern includes *path* (a licence comes always, a signature where it is asked for), and none excludes it."""
    wanted = forms.is_kept(path) or (choices.signed_by is not None and path == SIGNATURE)
    included = not choices.include or matches(path, choices.include) or wanted
    return included and not matches(path, choices.exclude)


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether one of *patterns* is for *path*; one that ends in ``/`` means all below."""
    return any(fnmatchcase(path, f"{one}*" if one.endswith("/") else one) for one in patterns)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneSet:
    """Which form of its weights is taken of a model.

    Attributes:
        taken: Names of the sets that are.
        other: Names of those that are not.
        dropped: Their files.
    """

    taken: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    dropped: frozenset[str] = frozenset()


def one_set(sizes: Mapping[str, int | None], prefer: str, *, shown: str) -> OneSet:
    """Which sets of weights to take, of files of *sizes* in bytes, by path; *shown* is what messages call the whole.

    Raises:
        InvalidInput: There are no whole weights in the form *prefer*.
    """
    wanted = _parse(prefer)
    places = forms.places(sizes)
    if wanted is not None and not any(one.whole and _fits(one, wanted) for place in places for one in place.sets):
        raise _no_such_set(prefer, places, shown)
    taken: list[WeightSet] = []
    other: list[str] = []
    dropped: set[str] = set()
    for place in places:
        chosen = _chosen(place, wanted, sizes)
        if chosen is None:
            continue
        taken.append(chosen)
        rest = [one for one in place.sets if one is not chosen]
        beside = place.beside if chosen.form in forms.LOADED_BY_LIBRARIES else ()
        other += [*(one.name for one in rest), *map(_folder_or_suffix, beside)]
        dropped.update({path for one in rest for path in one.paths} - {*chosen.paths}, beside)
    pipelines = _whole_pipelines(sizes, taken)
    dropped = {path for path in {*dropped, *pipelines} if not forms.is_kept(path)}
    return OneSet(
        taken=_once(one.name for one in taken),
        other=_once([*other, *pipelines]) if dropped else (),
        dropped=frozenset(dropped),
    )


def warnings(paths: Collection[str], ref: Reference) -> list[str]:
    """What a person should know of the code among *paths*, from *ref*, before a server loads them.

    An estimator of one's own (from a folder, a claim, a bucket) is a pickle by its format: that is nothing new to who trained it.
    """
    ours = sorted(paths)
    said = []
    public = isinstance(ref, SourceRef) and ref.scheme in _PUBLIC
    if (pickled := forms.pickles(ours)) and (public or formats.kind_of(ours) != "sklearn"):
        said.append(_PICKLED.format(_some(pickled)))
    code = [path for path in ours if path.endswith(".py") and "/" not in path]
    if code and "config.json" in ours:
        said.append(
            f"{_some(code)}: code of the model's author, which a server runs if it is told to trust remote code"
        )
    return said


def inside(sizes: Mapping[str, int], read: Read) -> list[str]:
    """The same, of what only the bytes tell: code that the configuration names elsewhere, pickles of other names.

    *sizes* are those of all files, in bytes; *read* gives bytes of one: path, offset, count.
    """
    said = remote_code(_config(sizes, read))
    unsure = [path for path in sizes if path.endswith(".bin") and path not in forms.pickles([path])][:LOOKED_AT]
    if pickled := [path for path in sorted(unsure) if forms.is_pickle(read(path, 0, 4))]:
        said.append(_PICKLED.format(_some(pickled)))
    return said


def remote_code(config: Mapping[str, object]) -> list[str]:
    """What a person should know of the code that a model's `config.json` names in other repositories."""
    named = config.get("auto_map")
    values = named.values() if isinstance(named, Mapping) else ()
    classes = [str(one) for value in values for one in (value if isinstance(value, list) else [value])]
    elsewhere = sorted({one.partition("--")[0] for one in classes if "--" in one})
    if not elsewhere:
        return []
    return [f"config.json names code in {_some(elsewhere)}, which a server fetches and runs if it trusts remote code"]


def _config(sizes: Mapping[str, int], read: Read) -> dict[str, object]:
    if not 0 < sizes.get("config.json", 0) <= CONFIG_BYTES:
        return {}
    try:
        found = json.loads(read("config.json", 0, sizes["config.json"]))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


# ------------------------------------------------------------------------------------------------------------ deciding


def _parse(prefer: str) -> tuple[str, str | None] | None:
    """Form and variant that are asked for; None: neither.

    Raises:
        InvalidInput: *prefer* is no form.
    """
    if prefer == AUTO:
        return None
    form, _, variant = prefer.partition(":")
    if form not in forms.FORMS:
        near = nearest(form, [AUTO, ALL, *forms.FORMS])
        raise InvalidInput(
            f"--prefer {prefer}: {form!r} is no form of weights",
            hint=f"did you mean `{near}`?"
            if near
            else f"one of {AUTO}, {ALL}, {', '.join(forms.FORMS)}; also gguf:Q4_K_M",
        )
    return form, variant or None


def _fits(one: WeightSet, wanted: tuple[str, str | None]) -> bool:
    form, variant = wanted
    return one.form == form and (variant is None or one.variant.lower() == variant.lower())


def _chosen(place: Place, wanted: tuple[str, str | None] | None, sizes: Mapping[str, int | None]) -> WeightSet | None:
    """The set to take of *place*; None: nothing is certain, and all is taken.

    A place that lacks the form asked for is decided as if nothing had been: a pipeline has many.
    """
    asked = [one for one in place.sets if one.whole and wanted is not None and _fits(one, wanted)]
    if asked:
        return _best(asked, sizes)
    for form in (*forms.LOADED_BY_LIBRARIES, "gguf"):
        found = [one for one in place.sets if one.form == form]
        if found:
            return _best(found, sizes) if all(one.whole for one in found) else None
    return None


def _best(found: Sequence[WeightSet], sizes: Mapping[str, int | None]) -> WeightSet | None:
    """Of whole sets of one form: the variant that is meant unasked, shards before a single file; None where that is not clear."""
    if found[0].form == "gguf":
        return _quantisation(found, sizes)
    order = {name: rank for rank, name in enumerate(forms.PRECISIONS)}
    if len({one.variant for one in found}) > 1:
        found = [one for one in found if one.variant in order]
    if not found:
        return None
    variant = min((one.variant for one in found), key=lambda name: order.get(name, len(order)))
    ours = [one for one in found if one.variant == variant]
    shards = [one for one in ours if one.sharded]
    return None if len(shards) > 1 else (shards or ours)[0]


def _quantisation(found: Sequence[WeightSet], sizes: Mapping[str, int | None]) -> WeightSet:
    """The first of `QUANTISATIONS`, or of a projector's precisions; else the biggest."""
    order = PROJECTORS if "mmproj" in found[0].paths[0] else QUANTISATIONS
    ranks = {name: rank for rank, name in enumerate(order)}
    return min(found, key=lambda one: (ranks.get(one.variant, len(ranks)), -_size_bytes(one, sizes)))


def _whole_pipelines(sizes: Mapping[str, int | None], taken: Sequence[WeightSet]) -> list[str]:
    """Files at the top of a diffusion pipeline that hold all of it: each at least as big as the biggest of its components."""
    components = [one for one in taken if "/" in one.paths[0]]
    if "model_index.json" not in sizes or len(components) < 2:
        return []
    biggest_bytes = max(_size_bytes(one, sizes) for one in components)
    among = {path for one in taken for path in one.paths}
    top = [path for path in sizes if "/" not in path and path.endswith(_PIPELINES) and path not in among]
    return [path for path in top if (sizes[path] or 0) >= max(1, biggest_bytes)]


def _size_bytes(one: WeightSet, sizes: Mapping[str, int | None]) -> int:
    return sum(sizes[path] or 0 for path in one.paths)


def _no_such_set(prefer: str, places: Sequence[Place], shown: str) -> InvalidInput:
    whole = dict.fromkeys(one.name for place in places for one in place.sets if one.whole)
    half = dict.fromkeys(one.name for place in places for one in place.sets if not one.whole)
    has = f"whole sets of weights: {', '.join(whole)}" if whole else "no sets of weights that are known by their names"
    parts = f"; only parts of {', '.join(half)}" if half else ""
    return InvalidInput(f"--prefer {prefer}: {shown} has {has}{parts}", hint="leave --prefer out to take what is there")


# ------------------------------------------------------------------------------------------------------------- telling


def _notes(found: Listing, one: OneSet) -> list[str]:
    if not one.dropped:
        return []
    saved_bytes = sum(entry.size_bytes or 0 for entry in found.entries if entry.path in one.dropped)
    saved = f"{units.show_count(len(one.dropped), 'file')}, {units.show_bytes(saved_bytes)} saved"
    return [
        f"one set of weights is taken, {_some(one.taken)}, and not {_some(one.other)}: {saved} (--prefer all takes all)"
    ]


def _folder_or_suffix(path: str) -> str:
    """What to call a file beside: by its folder, or by its kind."""
    folder, slash, _ = path.partition("/")
    return f"{folder}/" if slash else f"*{PurePosixPath(path).suffix}"


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 5 else ""
    return ", ".join(names[: 4 if more else 5]) + more
