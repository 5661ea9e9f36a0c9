"""The word that somebody may have meant."""

import difflib
from collections.abc import Iterator


def nearest(word: str, known: Iterator[str] | list[str] | tuple[str, ...]) -> str | None:
    """The known word most like *word*, when any is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return close[0] if close else None
