"""One value of one parameter: read from what a person wrote, into the form in which equals compare equal.

Numbers may be written as vLLM takes them (``8k`` is 8,000 and ``8K`` is 8,192) or SGLang (``8Ki``), switches as words, choices in any case.
A document or a list becomes its compact JSON text with sorted keys: a `Value` stays hashable.
"""

import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lading.engines.base import Parameter, Value

_SWITCHES = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}
_HUMAN = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)([kmgt]|[KMGT]i?)?")
_SCALE = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def read(parameter: Parameter, raw: object) -> Value:
    """The canonical value of *parameter* that *raw* says; reading it again changes nothing.

    Raises:
        ValueError: Not of its kind, out of its choices or bounds; the message says what would be right.
    """
    if parameter.many:
        return compact([_one(parameter, item) for item in _items(raw)])
    return _one(parameter, raw)


def compact(document: object) -> str:
    """*document* as JSON text: sorted keys, no spaces.

    Raises:
        ValueError: It holds something that JSON has no form for.
    """
    try:
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"{document!r} cannot be written as JSON") from error


def document(raw: object) -> Any:
    """The JSON document that *raw* is, or holds as text.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(raw, Mapping | list | tuple):
        return json.loads(compact(raw))
    if not isinstance(raw, str):
        raise ValueError(f"{raw!r} is not a JSON document")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{raw!r} is not JSON: {error}") from None


def _items(raw: object) -> Sequence[object]:
    if isinstance(raw, str) and raw.lstrip().startswith("["):
        raw = document(raw)
    items = list(raw) if isinstance(raw, Sequence) and not isinstance(raw, str) else [raw]
    if not items:
        raise ValueError("an empty list says nothing: leave the parameter out")
    return items


def _one(parameter: Parameter, raw: object) -> Value:
    raw = _plain(parameter, raw)
    if parameter.choices:
        word = _word(parameter, raw)
        if word is not None:
            return parameter.synonyms.get(str(word), word)
    match parameter.kind:
        case "bool":
            return _switch(raw)
        case "int":
            return _bounded(parameter, _whole(parameter, raw))
        case "float":
            return _bounded(parameter, _number(raw))
        case "json":
            return compact(document(raw))
        case "choice":
            raise ValueError(_not_a_choice(parameter, raw))
        case "str":
            return _text(parameter, raw)


def _plain(parameter: Parameter, raw: object) -> object:
    """*raw* without outer spaces, and by its canonical spelling."""
    if isinstance(raw, str):
        raw = raw.strip()
    return raw if isinstance(raw, bool) else parameter.synonyms.get(str(raw), raw)


def _word(parameter: Parameter, raw: object) -> Value:
    """The choice that *raw* names: itself, in another case, a number as text, or a switch for on and off."""
    if isinstance(raw, bool):
        raw = "on" if raw else "off"
    wanted = str(raw).casefold()
    found = [choice for choice in parameter.choices if str(choice).casefold() == wanted]
    exact = [choice for choice in found if str(choice) == str(raw)]
    return (exact or found or [None])[0]


def _switch(raw: object) -> bool:
    known = _SWITCHES.get(str(raw).casefold()) if isinstance(raw, bool | int | str) else None
    if known is None:
        raise ValueError(f"{raw!r} is neither true nor false")
    return known


def _whole(parameter: Parameter, raw: object) -> int:
    match = _HUMAN.fullmatch(raw) if isinstance(raw, str) else None
    number = float(match[1]) * _scale(match) if match and "." in match[1] else None
    if match and number is None:
        return int(match[1]) * _scale(match)
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        number = raw
    if number is None or not math.isfinite(number) or number != int(number):
        words = "".join(f" or {word}" for word in parameter.choices)
        raise ValueError(f"{raw!r} is not a whole number{words}")
    return int(number)


def _scale(match: re.Match[str]) -> int:
    return _SCALE[(match[2] or "").removesuffix("i")]


def _number(raw: object) -> float:
    try:
        number = float(raw) if isinstance(raw, int | float | str) and not isinstance(raw, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{raw!r} is not a number")
    return number + 0.0  # -0.0 is 0.0


def _bounded(parameter: Parameter, number: float) -> Value:
    if parameter.minimum is not None and number < parameter.minimum:
        raise ValueError(f"{number} is less than {parameter.minimum:g}")
    if parameter.maximum is not None and number > parameter.maximum:
        raise ValueError(f"{number} is more than {parameter.maximum:g}")
    return number


def _text(parameter: Parameter, raw: object) -> str:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise ValueError(f"{raw!r} is not text")
    text = str(raw)
    if "\x00" in text or "\n" in text:
        raise ValueError(f"{text!r} holds a character that cannot stand on a command line")
    if parameter.pattern and not re.fullmatch(parameter.pattern, text):
        raise ValueError(f"{text!r} does not look like {parameter.pattern}")
    return text


def _not_a_choice(parameter: Parameter, raw: object) -> str:
    known = [str(choice) for choice in parameter.choices]
    near = difflib.get_close_matches(str(raw), known, n=1)
    shown = ", ".join(known[:12]) + (f" … ({len(known)} in all)" if len(known) > 12 else "")
    return f"{raw!r} is not one of {shown}" + (f"; did you mean {near[0]}?" if near else "")
