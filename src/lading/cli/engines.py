"""`lading engines`: what the servers take, what is worth searching, and what cannot work."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from cyclopts import Parameter as Option

from lading import wiring
from lading.cli.output import Common, Output
from lading.engines.base import Engine, Parameter, SearchRange, Value
from lading.engines.documents import EngineDocument, RuleDocument
from lading.errors import InvalidParameters


def engines(
    engine: str | None = None,
    *,
    param: Annotated[str | None, Option(allow_leading_hyphen=True)] = None,
    search: Annotated[bool, Option(negative=())] = False,
    rules: Annotated[bool, Option(negative=())] = False,
    common: Common | None = None,
) -> None:
    """Show the engines, their parameters, ranges and rules.

    Without ENGINE: the engines there are. With it: all its parameters, in the order of their names.

    Args:
        engine: An engine's name: vllm, sglang, llama.cpp.
        param: Say all about one parameter; any spelling the engine takes.
        search: Only parameters with a range worth searching.
        rules: The checks before launch instead of the parameters.
    """
    output = Output(common)
    if engine is None:
        _list(output)
        return
    chosen = wiring.engine(engine)
    if param is not None:
        _one(output, chosen, _find(chosen, param))
    elif rules:
        _rules(output, chosen)
    else:
        _parameters(output, chosen, only_search=search)


def _list(output: Output) -> None:
    documents = [EngineDocument.of(wiring.engine(name)) for name in wiring.names("engines")]
    if output.json:
        for document in documents:
            output.result(document)
        return
    output.table(
        ["engine", "version", "programs", "parameters", "worth searching", "rules"],
        [
            (one.name, one.version, ", ".join(one.programs), str(one.parameters), str(one.searchable), str(one.rules))
            for one in documents
        ],
        right=["parameters", "worth searching", "rules"],
    )
    output.next(f"lading engines {documents[0].name}")


def _parameters(output: Output, engine: Engine, *, only_search: bool) -> None:
    shown = [one for _, one in sorted(engine.parameters.items()) if one.search is not None or not only_search]
    if output.json:
        for one in shown:
            output.result(plain(one))
        return
    output.table(
        ["parameter", "kind", "default", "worth searching", "memory", "what"],
        [(one.name, one.kind, default(one), searched(one.search), one.memory, one.help) for one in shown],
    )
    output.next(f"lading engines {engine.name} --param {shown[0].name}")


def _rules(output: Output, engine: Engine) -> None:
    documents = [RuleDocument.of(rule) for rule in engine.rules]
    if output.json:
        for document in documents:
            output.result(document)
        return
    output.table(
        ["rule", "must hold", "parameters", "otherwise", "source"],
        [(one.name, one.about, ", ".join(one.parameters), one.hint, one.source) for one in documents],
    )


def _one(output: Output, engine: Engine, parameter: Parameter) -> None:
    if output.json:
        output.result(plain(parameter))
        return
    width = max(len(label) for label, _ in _facts(engine, parameter))
    lines = [f"{label:<{width}}  {text}" for label, text in _facts(engine, parameter) if text]
    output.result(
        {}, "\n".join([f"{parameter.name} of {engine.name} {engine.version}: {parameter.help}".rstrip(": "), *lines])
    )


def _facts(engine: Engine, parameter: Parameter) -> Sequence[tuple[str, str]]:
    """All that is known of *parameter*, labelled; empty where nothing is said."""
    off = f", off: {', '.join(parameter.off_flags)}" if parameter.off_flags else ""
    differing = "; ".join(f"{program}: {_shown(value)}" for program, value in parameter.program_defaults.items())
    return (
        ("flags", ", ".join(parameter.flags) + off),
        ("attribute", parameter.attribute),
        ("kind", parameter.kind + (", several" if parameter.many else "")),
        ("choices", ", ".join(map(_shown, parameter.choices))),
        ("same as", ", ".join(f"{word} = {_shown(value)}" for word, value in parameter.synonyms.items())),
        ("bounds", _bounds(parameter)),
        ("default", "; ".join(filter(None, (_default(parameter.default), parameter.default_note)))),
        ("by program", differing if parameter.program_defaults and not parameter.default_note else ""),
        ("search", searched(parameter.search)),
        ("memory", parameter.memory),
        ("note", parameter.note),
        *((f"rule {rule.name}", rule.about) for rule in engine.rules if parameter.name in rule.parameters),
        ("source", parameter.source),
    )


def _find(engine: Engine, spelling: str) -> Parameter:
    """The parameter that *spelling* names: asking the engine to read it gives the nearest for a wrong one.

    Raises:
        InvalidParameters: There is none.
    """
    name = spelling.lstrip("-").replace("-", "_")
    if name in engine.parameters:
        return engine.parameters[name]
    for parameter in engine.parameters.values():
        if any(
            spelling.lstrip("-") == flag.lstrip("-") or name == _snake(flag)
            for flag in (*parameter.flags, *parameter.off_flags)
        ):
            return parameter
    engine.parse({spelling: True})
    raise InvalidParameters(f"{spelling} is not a parameter of {engine.name} {engine.version}")


def plain(parameter: Parameter) -> dict[str, Any]:
    """*parameter* as its document (`lading schema engine-parameter`)."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(parameter).items()}


def default(parameter: Parameter) -> str:
    """The default, or that it is decided at start."""
    return _default(parameter.default) or ("decided at start" if parameter.default_note else "")


def searched(search: SearchRange | None) -> str:
    """A range worth searching, in words; empty for none."""
    if search is None:
        return ""
    if search.values:
        return ", ".join(map(_shown, search.values))
    return f"{search.low:g} to {search.high:g}" + (", log" if search.log else "")


def _bounds(parameter: Parameter) -> str:
    ends: Iterable[tuple[str, float | None]] = (("at least", parameter.minimum), ("at most", parameter.maximum))
    return ", ".join(f"{word} {end:g}" for word, end in ends if end is not None)


def _default(value: Value) -> str:
    return "" if value is None else _shown(value)


def _shown(value: Value) -> str:
    """*value* as a person writes it in a study."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _snake(flag: str) -> str:
    return flag.lstrip("-").replace("-", "_")
