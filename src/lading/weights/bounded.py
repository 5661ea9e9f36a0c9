"""What comes from outside, kept from taking more memory, time or words than any real document does."""

import json
from typing import Any

SIZE_BYTES = 32_000_000
"""The index of a model of a hundred thousand tensors takes a third of it."""
VALUES = 2_000_000
"""Parsed, each takes some hundred bytes; a hundred thousand tensors are half of it."""
SHOWN = 600


def parsed(text: bytes) -> Any:
    """The value that *text* is.

    Raises:
        ValueError: It is no JSON, not UTF-8, or holds more than `VALUES` values, or deeper ones than are read.
    """
    if len(text) > SIZE_BYTES:
        raise ValueError(f"it is longer than {SIZE_BYTES:,} bytes")
    if sum(map(text.count, (b",", b"[", b"{"))) > VALUES:
        raise ValueError(f"it has more than {VALUES:,} values")
    try:
        return json.loads(text.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def shown(text: str) -> str:
    """*text* for a message: what a file names may be as long as the file."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} …"
