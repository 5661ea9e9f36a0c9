"""Variables that a server gets from Lading's own environment: named in a document, never written down with their values."""

import os
from collections.abc import Iterator, Mapping

from lading.errors import InvalidInput
from lading.spec import secret


def missing(env: Mapping[str, str | None]) -> tuple[str, ...]:
    """The variables of *env* that are to be passed on and are not set here."""
    return tuple(name for name, value in env.items() if value is None and name not in os.environ)


def given(env: Mapping[str, str | None]) -> dict[str, str]:
    """The variables of *env* that have a value in it.

    Raises:
        InvalidInput: One that is to be passed on is not set here.
    """
    lacking = missing(env)
    if lacking:
        raise InvalidInput(
            f"{', '.join(lacking)} cannot be passed on to the server: not set in the environment",
            hint=f"export {lacking[0]}=…",
        )
    return {name: value for name, value in env.items() if value is not None}


def without_secrets(text: str) -> str:
    """*text* of a server without the secrets it was passed: some print their environment when they fail."""
    return secret.hidden(text, _secrets())


def _secrets() -> Iterator[str]:
    return (value for name, value in os.environ.items() if secret.is_secret(name))
