"""All that an engine takes, by name: what `Engine.parse` and `Engine.resolved` are made of.

A user may write a parameter as the engine's flag (``--max-num-seqs``, ``-tp``), with dashes or underscores, or by a
switch's other side (``disable_prefix_caching``). A name that is another engine's, or that older versions had, is refused
with the one that is right here.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from lading.engines import values
from lading.engines.base import Parameter, Params, Value
from lading.errors import InvalidParameters


@dataclass(frozen=True)
class Catalogue:
    """The parameters of one engine version.

    Attributes:
        foreign: Names that other engines have for the same thing: name → (whose, the parameter here).
        gone: Names that older versions took: name → what to do instead.
        reserved: Names that a launch sets by itself, or that may not stand on a command line: name → where to say it.
    """

    engine: str
    version: str
    parameters: Mapping[str, Parameter]
    aliases: Mapping[str, str] = field(default_factory=dict)
    foreign: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    gone: Mapping[str, str] = field(default_factory=dict)
    reserved: Mapping[str, str] = field(default_factory=dict)

    def parse(self, params: Mapping[str, object]) -> dict[str, Value]:
        """*params* under canonical names with canonical values, sorted by name; None is left out: the engine decides.

        Raises:
            InvalidParameters: All that is wrong, at once, each with the nearest right one.
        """
        problems: list[str] = []
        read: dict[str, Value] = {}
        written: dict[str, str] = {}
        for spelling, raw in _without_dots(self, params, problems):
            found = self.find(spelling)
            if isinstance(found, str):
                problems.append(found)
                continue
            parameter, negated = found
            if raw is None:
                continue
            try:
                value = values.read(parameter, raw)
            except ValueError as error:
                problems.append(f"{spelling}: {error}")
                continue
            if negated:
                value = not value
            if parameter.name in read and read[parameter.name] != value:
                problems.append(f"{written[parameter.name]} and {spelling} are one parameter, with different values")
            read[parameter.name], written[parameter.name] = value, spelling
        if problems:
            raise self._refusal(problems)
        return dict(sorted(read.items()))

    def resolved(self, params: Params) -> dict[str, Value]:
        """*params* over the known defaults; parameters decided at start are absent."""
        defaults: dict[str, Value] = {
            name: one.default for name, one in self.parameters.items() if one.default is not None
        }
        return defaults | {name: value for name, value in params.items() if value is not None}

    def find(self, spelling: str) -> tuple[Parameter, bool] | str:
        """The parameter meant by *spelling*, and whether it says the opposite; or why there is none, in words."""
        name = normal(spelling)
        if name in self.reserved:
            return f"{spelling} is not set here: {self.reserved[name]}"
        for key in (name, spelling.lstrip("-")):
            if key in self.parameters:
                return self.parameters[key], False
            if key in self._spellings:
                return self._spellings[key]
        return self._unknown(spelling, name)

    @cached_property
    def _spellings(self) -> dict[str, tuple[Parameter, bool]]:
        """Every other spelling: flags (short ones keep their case), off-switches, aliases."""
        found: dict[str, tuple[Parameter, bool]] = {}
        for parameter in self.parameters.values():
            for flag in parameter.flags:
                found.setdefault(_key(flag), (parameter, False))
            if parameter.kind == "bool":
                for flag in (*parameter.off_flags, f"--no-{parameter.name}"):
                    found.setdefault(_key(flag), (parameter, True))
        found |= {alias: (self.parameters[name], False) for alias, name in self.aliases.items()}
        return found

    def _unknown(self, spelling: str, name: str) -> str:
        if name in self.foreign:
            whose, here = self.foreign[name]
            return f"{spelling} is {whose}'s name: {self.engine}'s is {here}"
        if name in self.gone:
            return f"{spelling} is gone in {self.engine} {self.version}: {self.gone[name]}"
        known = [*self.parameters, *(key for key in self._spellings if len(key) > 3)]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        meant = self.find(near[0]) if near else None
        shown = (
            near[0]
            if near and isinstance(meant, tuple) and meant[1]
            else meant[0].name
            if isinstance(meant, tuple)
            else ""
        )
        return f"{spelling} is not a parameter of {self.engine} {self.version}" + (
            f"; did you mean {shown}?" if shown else ""
        )

    def _refusal(self, problems: list[str]) -> InvalidParameters:
        hint = f"`lading engines {self.engine}` lists its parameters; `--param NAME` says all about one"
        if len(problems) == 1:
            return InvalidParameters(problems[0], hint=hint)
        return InvalidParameters(
            f"{len(problems)} parameters of {self.engine} {self.version} are wrong", problems=problems, hint=hint
        )


def normal(spelling: str) -> str:
    """*spelling* without leading dashes, in snake case."""
    return spelling.strip().lstrip("-").replace("-", "_")


def _key(flag: str) -> str:
    return normal(flag) if flag.startswith("--") else flag.lstrip("-").replace("-", "_")


def _without_dots(
    catalogue: Catalogue, params: Mapping[str, object], problems: list[str]
) -> Iterator[tuple[str, object]]:
    """*params* with ``compilation_config.mode`` put into the document ``compilation_config``."""
    plain: dict[str, object] = {}
    parts: dict[str, dict[str, object]] = {}
    for spelling, raw in params.items():
        head, _, path = spelling.partition(".")
        owner = catalogue.find(head) if path else ""
        if isinstance(owner, str) or owner[0].kind != "json":
            plain[spelling] = raw
        else:
            _put(parts.setdefault(owner[0].name, {}), normal(path).split("."), raw)
    for name, some in parts.items():
        key = next((spelling for spelling in plain if _means(catalogue, spelling, name)), name)
        try:
            whole = values.document(plain.get(key) or {})
        except ValueError:
            continue  # the whole document is wrong: said when it is read
        if isinstance(whole, dict):
            plain[key] = _merged(whole, some)
        else:
            problems.append(f"{name}: {json.dumps(whole)} has no keys")
    yield from plain.items()


def _means(catalogue: Catalogue, spelling: str, name: str) -> bool:
    found = catalogue.find(spelling)
    return not isinstance(found, str) and found[0].name == name


def _put(into: dict[str, object], path: list[str], value: object) -> None:
    for part in path[:-1]:
        inner = into.setdefault(part, {})
        into = inner if isinstance(inner, dict) else into
    into[path[-1]] = value


def _merged(whole: dict[str, object], parts: Mapping[str, object]) -> dict[str, object]:
    merged = dict(whole)
    for key, value in parts.items():
        before = merged.get(key)
        merged[key] = _merged(before, value) if isinstance(before, dict) and isinstance(value, Mapping) else value
    return merged
