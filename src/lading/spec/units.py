"""Bytes and seconds as people write them, plain numbers inside.

``parse_bytes("80GiB") == 85_899_345_920``, ``parse_seconds("30m") == 1800.0``; `show_bytes`, `show_seconds`,
`show_rate`, `show_count` and `show_number` go the other way, with three significant digits.
"""

import math
import re
from typing import Annotated

from pydantic import BeforeValidator

_BYTES = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "pb": 10**15,
    "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40, "pi": 2**50,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50,
    "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15,
}  # fmt: skip
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")


def parse_bytes(value: object) -> int:
    """Bytes from ``"80GiB"``, ``"1.5 GB"``, ``"512Mi"`` (Kubernetes) or a plain number of bytes.

    Raises:
        ValueError: Not a size, or not a whole number of bytes ≥ 0.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a size such as 80GiB")
    if isinstance(value, int | float):
        size = float(value)
    else:
        match = _QUANTITY.fullmatch(value)
        if match is None or match[2].lower() not in _BYTES:
            raise ValueError(f"{value!r} is not a size such as 80GiB")
        size = float(match[1]) * _BYTES[match[2].lower()]
    if size < 0 or not math.isfinite(size):
        raise ValueError(f"{value!r} is not a size: it must be 0 or more")
    return round(size)


def parse_seconds(value: object) -> float:
    """Seconds from ``"30m"``, ``"1h30m"``, ``"250ms"`` or a plain number of seconds.

    Raises:
        ValueError: Not a duration > 0.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a duration such as 30m")
    if isinstance(value, int | float):
        seconds = float(value)
    else:
        parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)", value)
        rest = re.sub(r"[0-9]+(?:\.[0-9]+)?\s*[A-Za-z]+\s*", "", value).strip()
        if not parts or rest or any(unit.lower() not in _SECONDS for _, unit in parts):
            raise ValueError(f"{value!r} is not a duration such as 30s, 15m or 4h")
        seconds = sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts)
    if seconds <= 0 or not math.isfinite(seconds):
        raise ValueError(f"{value!r} is not a duration: it must be more than 0")
    return seconds


def show_bytes(size_bytes: float) -> str:
    """``"1.07 GB"``: decimal units, three significant digits."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if abs(size_bytes) >= factor * 0.9995:
            return f"{show_number(size_bytes / factor)} {unit}"
    return f"{size_bytes:.0f} B"


def show_seconds(seconds: float) -> str:
    """``"4 min 30 s"``, ``"1.20 s"``, ``"350 ms"``."""
    if seconds < 1:
        return f"{show_number(seconds * 1000)} ms"
    if seconds < 90:
        return f"{show_number(seconds)} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def show_rate(rate_bytes_per_s: float) -> str:
    """``"830 MB/s"``."""
    return f"{show_bytes(rate_bytes_per_s)}/s"


def show_count(count: int, thing: str) -> str:
    """``"1 file"``, ``"1,940 files"``."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def show_number(value: float) -> str:
    """Three significant digits, thousands separated: ``1,940``, ``41.2``, ``0.413``."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    rounded = float(f"{value:.3g}")
    digits = 2 - math.floor(math.log10(abs(rounded)))  # of the rounded one: 99.96 is 100, not 100.0
    return f"{rounded:,.{max(0, min(digits, 12))}f}"


Bytes = Annotated[int, BeforeValidator(parse_bytes, json_schema_input_type=int | float | str)]
Seconds = Annotated[float, BeforeValidator(parse_seconds, json_schema_input_type=float | str)]
