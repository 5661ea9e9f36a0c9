"""Command lines as flags: written from parameters, read back, and two of them merged into one.

Controllers put the arguments of a runtime and those of a service behind one another, and a program takes the last of a
flag, or all of them, or refuses: so what a runtime says and what we say is one list, with each flag once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lading.engines import values
from lading.engines.base import Engine, Parameter, Value
from lading.errors import InvalidParameters

#: Spellings of what a launch sets by itself and no catalogue holds, in all engines; a word without a flag is the model.
LAUNCHED: tuple[tuple[str, ...], ...] = (("--model", "--model-path", "-m"), ("--served-model-name", "--alias", "-a"))
_MODEL = LAUNCHED[0][0]


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of a command line with its values; *name* is empty for words that stand before any flag.

    Attributes:
        words: As they stand on the command line, the flag first.
    """

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Two command lines as one.

    Attributes:
        argv: Theirs without what ours sets, then ours.
        replaced: What of theirs is gone, as it stood there.
        repeated: Flags that theirs alone has more than once; all are kept, as some programs collect them.
    """

    argv: tuple[str, ...]
    replaced: tuple[str, ...]
    repeated: tuple[str, ...]


def words(parameter: Parameter, value: Value) -> tuple[str, ...]:
    """*parameter* with a canonical *value* as argparse programs take it; a switch that is off may need no word."""
    flag = parameter.flags[0]
    if parameter.kind == "bool":
        return (flag,) if value else parameter.off_flags[:1]
    if parameter.many:
        return (flag, *(str(item) for item in values.document(value)))
    return (f"{flag}={value}",) if str(value).startswith("-") else (flag, str(value))


def split(argv: Sequence[str]) -> tuple[Flag, ...]:
    """*argv* by flags: a flag takes the words up to the next one; ``--`` and what follows belong to the last."""
    found: list[list[str]] = []
    ended = False
    for word in argv:
        if not found or (is_flag(word) and not ended):
            found.append([word])
        else:
            found[-1].append(word)
        ended = ended or word == "--"
    return tuple(Flag(word[0].partition("=")[0] if is_flag(word[0]) else "", tuple(word)) for word in found)


def is_flag(word: str) -> bool:
    """Whether *word* is a flag, not a value: it begins with a dash, and is neither ``--`` nor a negative number."""
    return len(word) > 1 and word[0] == "-" and word != "--" and not (word[1].isdigit() or word[1] == ".")


def merged(theirs: Sequence[str], ours: Sequence[str], engine: Engine | None = None) -> Merged:
    """The arguments of a runtime, *theirs*, and *ours* as one list in which each flag of ours stands once.

    A flag is the same by any of its spellings that *engine* knows, its off-switch included; without an engine, by its
    own spelling, dashes and underscores alike. Abbreviations are not guessed: `help.check` writes them out. Merging
    twice changes nothing.

    Raises:
        InvalidParameters: An argument of theirs is a shell line, which cannot be told apart by flags.
    """
    _refuse_shell(theirs)
    meant = spellings(engine.parameters) if engine is not None else {}
    mine = {_key(flag, meant) for flag in split(ours)}
    before = split(theirs)
    kept = [flag for flag in before if _key(flag, meant) not in mine]
    seen = [_key(flag, meant) for flag in kept]
    return Merged(
        argv=(*(word for flag in kept for word in flag.words), *ours),
        replaced=tuple(" ".join(flag.words) for flag in before if _key(flag, meant) in mine),
        repeated=tuple(dict.fromkeys(flag.name for flag, key in zip(kept, seen, strict=True) if seen.count(key) > 1)),
    )


def spellings(parameters: Mapping[str, Parameter]) -> dict[str, str]:
    """Every spelling of every flag, to the parameter's name."""
    return {normal(flag): name for name, one in parameters.items() for flag in (*one.flags, *one.off_flags)}


def normal(flag: str) -> str:
    """*flag* with dashes for underscores; one with a single dash keeps its case and all."""
    return flag.replace("_", "-") if flag.startswith("--") else flag


def _key(flag: Flag, meant: Mapping[str, str]) -> str:
    if not flag.name:
        return _MODEL
    name = normal(flag.name)
    head = name.partition(".")[0]  # --compilation-config.mode is a part of that document, and goes with the whole
    launched = next((group[0] for group in LAUNCHED if name in group), None)
    return meant.get(name) or meant.get(head) or launched or name


def _refuse_shell(theirs: Sequence[str]) -> None:
    for word in theirs:
        if "\n" in word.strip() or any(_hidden_flags(word)):
            raise InvalidParameters(
                f"an argument of the runtime holds several: {word[:120]!r}",
                hint="write one argument per element of the runtime's args, without a shell",
            )


def _hidden_flags(word: str) -> Iterator[str]:
    """Flags inside one argument that is no document."""
    if word.lstrip()[:1] not in ("{", "["):
        yield from (part for part in word.split()[1:] if part.startswith("--") and len(part) > 2)
