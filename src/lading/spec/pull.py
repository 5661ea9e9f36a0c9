"""How a source is read and what of it is taken: the options of a pull, wherever it runs.

The command line, the library, and the document of a Job hold the same value, so that an option means the same in all.
"""

from typing import Annotated, Any

from pydantic import Field, ValidationError

from lading.errors import InvalidInput
from lading.spec.base import Spec
from lading.spec.nearest import nearest


class Choices(Spec):
    """What a pull is asked for beyond where from and where to."""

    endpoint: str | None = None
    """Address of an S3 store other than AWS."""
    files: tuple[str, ...] | None = None
    """For an http(s) directory: its names, one per line as `sha256sum` writes them."""
    include: tuple[str, ...] = ()
    """Patterns of paths to take; none: all."""
    exclude: tuple[str, ...] = ()
    """Patterns of paths to leave out."""
    prefer: str = "auto"
    """Which set of weights to take where a source has several (``safetensors``, ``bin`` …); ``all`` takes every one."""
    expect: str = "auto"
    """The format it must have; ``any`` for no check."""
    sha256: Annotated[str | None, Field(pattern="^[0-9a-fA-F]{64}$")] = None
    """For a single file, or an archive as it lies there: the digest it must have."""
    requester_pays: bool = False
    """For S3: say that the requests are paid by who asks."""
    verify_tls: bool = True
    """Whether servers must show a certificate that is trusted."""
    signed_by: str | None = None
    """Public key (PEM) that must have signed the model; None: no signature is asked for."""
    max_rate_bytes_per_s: Annotated[float | None, Field(gt=0)] = None
    """At most this fast, over all connections; None: as fast as it goes."""


PLAIN = Choices()

OF_SOURCES = {
    "endpoint": "--endpoint",
    "files": "--files",
    "sha256": "--sha256",
    "requester_pays": "--requester-pays",
    "verify_tls": "--no-verify",
}
"""Choices that only some sources know, with their options; all others are the pull's own, and hold for every source."""


def chosen(**options: Any) -> Choices:
    """The choices that *options* are, by the names of `Choices`.

    Raises:
        InvalidInput: There is no such choice, or a value is none of it.
    """
    for name in options:
        if name not in Choices.model_fields:
            near = nearest(name, list(Choices.model_fields))
            raise InvalidInput(f"a pull has no option {name!r}", hint=f"did you mean `{near}`?" if near else None)
    try:
        return Choices(**options)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False))
        raise InvalidInput(said) from error


def foreign(choices: Choices, understood: frozenset[str]) -> tuple[str, ...]:
    """The options among *choices* that a source which *understood* only those cannot honour."""
    return tuple(
        option
        for name, option in OF_SOURCES.items()
        if name not in understood and getattr(choices, name) != getattr(PLAIN, name)
    )
