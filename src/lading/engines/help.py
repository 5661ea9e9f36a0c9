"""What a program itself says it takes: its ``--help``, read, and a command line held against it.

A catalogue is of one version; the image that a user has is often another. Its help names every flag, so what it does
not know is told before a start that would fail, with the nearest that it does know; and what its parser would guess
from an abbreviation is written out, as a guess may be another flag in the next version. A help text is foreign: it is
cut, and what does not look like an option is passed over.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from lading.engines import flags
from lading.engines.base import Engine
from lading.engines.flags import normal, split

LONGEST_CHARACTERS = 2_000_000
"""What of a help text is read; the longest known has a twentieth of it."""
_LINE_CHARACTERS = 10_000
_OPTIONS = 5_000
#: Options stand at the left; what they mean stands far to the right, and may begin with a dash too.
_INDENT = 8

Takes = Literal["nothing", "one", "maybe", "many"]
Problem = Literal["unknown", "ambiguous", "abbreviated", "repeated", "choice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a program reads its flags.

    Attributes:
        abbreviates: A beginning that fits one flag alone stands for it.
        underscores: ``--max_num_seqs`` is ``--max-num-seqs``.
        dotted: ``--compilation-config.mode`` reaches into that document.
        joined: ``--flag=value`` is taken.
        asks: Words that make it tell its flags, the best first.
    """

    abbreviates: bool = True
    underscores: bool = False
    dotted: bool = False
    joined: bool = True
    asks: tuple[str, ...] = ("--help",)


#: How the programs of our engines read their flags, by the program's name; others are argparse's.
DIALECTS: Mapping[str, Dialect] = {
    "vllm serve": Dialect(underscores=True, dotted=True, asks=("--help=all", "--help")),
    "python3 -m sglang.launch_server": Dialect(),
    "llama-server": Dialect(abbreviates=False, underscores=True, joined=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a program.

    Attributes:
        names: Its spellings, as the help gives them.
        choices: Its legal values; empty where any is, or where the help does not name all.
        default: As the help says it; None where it says nothing.
    """

    names: tuple[str, ...]
    takes: Takes = "one"
    choices: tuple[str, ...] = ()
    default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is to be said of one flag of a command line; *meant* is the flag that is right, or what it stands for."""

    problem: Problem
    flag: str
    meant: str = ""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A command line held against what a program takes.

    Attributes:
        argv: With abbreviations written out.
        problems: What the program would refuse.
        notes: What it would take, and may be meant otherwise: abbreviations, repeated flags.
    """

    argv: tuple[str, ...]
    problems: tuple[Finding, ...]
    notes: tuple[Finding, ...]


# ------------------------------------------------------------------------------------------------------------ reading


def read(text: str) -> tuple[Option, ...]:
    """The options that the help *text* of an argparse program, or of llama.cpp, names; in its order, each once.

    Nothing is raised: of a text that is no help nothing is read.
    """
    found: dict[str, Option] = {}
    for lines in islice(_entries(text[:LONGEST_CHARACTERS]), _OPTIONS):
        option = _option(lines)
        if option is not None and not any(name in found for name in option.names):
            found |= dict.fromkeys(option.names, option)
    return tuple(dict.fromkeys(found.values()))


_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_BEGINS = re.compile(rf"^ {{0,{_INDENT}}}--?[A-Za-z]")
_NAME = re.compile(r"--?[A-Za-z][A-Za-z0-9_.-]{0,100}")
#: A value's place: up to the next name, or to the two spaces before the description.
_PLACE = re.compile(r"(?:[ =][^ ].*?)?(?=\s*,\s*--?[A-Za-z]|\s{2,}|\s*$)")


def _entries(text: str) -> Iterator[list[str]]:
    """The lines of each option: the one that begins it, and those that are further to the right. Usage is left out."""
    entry: list[str] = []
    in_usage = False
    for raw in text.splitlines():
        line = _ANSI.sub("", raw[:_LINE_CHARACTERS]).expandtabs().rstrip()
        in_usage = (in_usage or line.lstrip().lower().startswith("usage:")) and bool(line)
        if _BEGINS.match(line) and not in_usage:
            if entry:
                yield entry
            entry = [line]
        elif entry and line.startswith(" " * (_INDENT + 1)):
            entry.append(line)
        elif entry and line:
            yield entry
            entry = []
    if entry:
        yield entry


def _option(lines: Sequence[str]) -> Option | None:
    rest = lines[0].strip()
    names: list[str] = []
    places: list[str] = []
    while match := _NAME.match(rest):
        place = _PLACE.match(rest, match.end())
        if place is None:
            return None
        names.append(match[0].rstrip("."))
        places.append(place[0].strip(" ="))
        rest = rest[place.end() :]
        comma = re.match(r"\s*,\s*(?=--?[A-Za-z])", rest)
        if comma is None:
            break
        rest = rest[comma.end() :]
    said = " ".join([rest.strip(), *(line.strip() for line in lines[1:])])[:_LINE_CHARACTERS]
    return Option(
        names=tuple(dict.fromkeys(names)), takes=_takes(places), choices=_choices(places, said), default=_default(said)
    )


def _takes(places: Sequence[str]) -> Takes:
    text = " ".join(places).strip()
    if not text:
        return "nothing"
    if " ...]" in text:
        return "many"
    return "maybe" if text.startswith("[") and "|" not in text else "one"


def _choices(places: Sequence[str], said: str) -> tuple[str, ...]:
    """Choices in braces or brackets, or llama.cpp's list of allowed values; none where the list is cut short."""
    held = next((place for place in places if place[:1] == "{" or (place[:1] in ("[", "<") and "|" in place)), "")
    listed = re.search(r"allowed values: ([^()]+?)(?: \(|$)", said)
    text = held[1:-1] if held else listed[1] if listed else ""
    words = tuple(word.strip().strip("'\"") for word in re.split(r"[,|]", text) if word.strip())
    usable = len(words) > 1 and not any("..." in word or " " in word for word in words)
    return words if usable else ()


def _default(said: str) -> str | None:
    match = re.search(r"\(default: ('[^']*'|[^()]*(?:\([^()]*\)[^()]*)*)\)", said)
    return match[1].strip().strip("'\"") if match else None


# ----------------------------------------------------------------------------------------------------------- checking


def check(known: Sequence[Option], argv: Sequence[str], dialect: Dialect | None = None) -> Checked:
    """*argv*, the program's own words left out, against the options it has.

    What stands before the first flag is no flag's business; nor are values, but those of a choice.
    """
    dialect = dialect or Dialect()
    table = {_fold(name, dialect): option for option in known for name in option.names}
    checked = [_flag(flag, table, dialect) for flag in split(argv)]
    found = [finding for _, findings, _ in checked for finding in findings]
    return Checked(
        argv=tuple(word for words, _, _ in checked for word in words),
        problems=tuple(one for one in found if one.problem not in ("abbreviated", "repeated")),
        notes=(
            *(one for one in found if one.problem == "abbreviated"),
            *_repeated([option for _, _, option in checked]),
        ),
    )


def version_of_image(image: str) -> str | None:
    """The version that an image's tag says: ``v0.33.0`` of ``vllm/vllm-openai:v0.33.0``; None where it says none.

    A digest alone, ``latest`` or a name of the user's own says nothing.
    """
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    match = re.match(r"v?(\d+\.\d+\.\d+)(?:\.post\d+)?(?:$|[-+_])", tag)
    return match[1] if match else None


def is_of_version(engine: Engine, told: str | None) -> bool:
    """Whether the catalogue of *engine* is that of version *told*: patches after it and builds of it change no flags."""
    match = re.match(r"v?(\d+(?:\.\d+)*)(?:\.post\d+)?(?:$|[-+_ ])", told or "")
    return match is not None and match[1] == engine.version


_Judged = tuple[tuple[str, ...], tuple[Finding, ...], Option | None]


def _flag(flag: flags.Flag, table: Mapping[str, Option], dialect: Dialect) -> _Judged:
    """The words of *flag*, written out; what is to be said of it; the option it is."""
    if not flag.name:
        return flag.words, (), None
    name = flag.name if dialect.joined else flag.words[0]
    key = _fold(name, dialect)
    head = key.partition(".")[0] if dialect.dotted else key
    option = table.get(key) or table.get(head) or _clustered(name, table)
    if option is not None:
        return flag.words, _choice(flag, option), option
    fits = [one for one in table if one.startswith(head) and one.startswith("--")] if dialect.abbreviates else []
    options = list(dict.fromkeys(table[one] for one in fits))
    if not head.startswith("--") or not options:
        return flag.words, (_unknown(name, table),), None
    if len(options) > 1:
        shown = ", ".join(sorted(fits)[:4]) + (" …" if len(fits) > 4 else "")
        message = f"{name} is the beginning of {shown}: the program refuses it as ambiguous"
        return flag.words, (Finding(problem="ambiguous", flag=name, meant=min(fits), message=message),), None
    full = min(fits, key=len)
    first = full + flag.words[0][len(name) :] if head == key else full + key[len(head) :] + flag.words[0][len(name) :]
    note = Finding(problem="abbreviated", flag=name, meant=full, message=f"{name} stands for {full}")
    return (first, *flag.words[1:]), (note, *_choice(flag, options[0])), options[0]


def _clustered(name: str, table: Mapping[str, Option]) -> Option | None:
    """The short option whose value is written to it: ``-O3``, ``-tp4``."""
    if name.startswith("--"):
        return None
    fits = [one for one in table if not one.startswith("--") and name.startswith(one) and table[one].takes != "nothing"]
    return table[max(fits, key=len)] if fits else None


def _unknown(name: str, table: Mapping[str, Option]) -> Finding:
    near = difflib.get_close_matches(normal(name), table, n=1, cutoff=0.6)
    hint = f"; the nearest is {near[0]}" if near else ""
    return Finding(
        problem="unknown", flag=name, meant=near[0] if near else "", message=f"the program does not know {name}{hint}"
    )


def _choice(flag: flags.Flag, option: Option) -> tuple[Finding, ...]:
    """What is wrong with the value of a flag that takes one of some."""
    name, joined, value = flag.words[0].partition("=")
    given = value if joined else next(iter(flag.words[1:2]), None)
    if given is None or not option.choices or option.takes != "one" or given in option.choices or "." in name:
        return ()
    near = difflib.get_close_matches(given, option.choices, n=1)
    shown = ", ".join(option.choices[:12]) + (" …" if len(option.choices) > 12 else "")
    meant = f"; the nearest is {near[0]}" if near else ""
    message = f"{name} takes one of {shown}, not {given}{meant}"
    return (Finding(problem="choice", flag=name, meant=near[0] if near else "", message=message),)


def _repeated(options: Sequence[Option | None]) -> tuple[Finding, ...]:
    given = [option for option in options if option is not None]
    return tuple(
        Finding(
            problem="repeated", flag=one.names[0], message=f"{one.names[0]} is given {given.count(one)} times: most programs take the last"
        )
        for one in dict.fromkeys(given)
        if given.count(one) > 1
    )  # fmt: skip


def _fold(name: str, dialect: Dialect) -> str:
    return normal(name) if dialect.underscores else name
