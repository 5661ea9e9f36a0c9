"""Options that say how a source is read and what of it is taken: of every command that reads one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lading.cli.output import Output
from lading.errors import InvalidInput
from lading.spec import pull as choosing
from lading.spec import units
from lading.spec.pull import Choices

GROUP = "Source"
LONGEST_LIST_BYTES = 16 << 20
LONGEST_KEY_BYTES = 16 << 10


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Reaching:
    """How a source is reached."""

    endpoint: Annotated[str | None, Parameter(group=GROUP)] = None
    """Address of an S3 store other than AWS, such as http://127.0.0.1:9000, or of a mirror."""
    requester_pays: Annotated[bool, Parameter(negative=(), group=GROUP)] = False
    """For S3: who asks pays for the requests."""
    verify: Annotated[bool, Parameter(name="--verify", negative="--no-verify", group=GROUP)] = True
    """Trust a server by its certificate only."""

    def options(self, output: Output) -> dict[str, Any]:
        """As `Choices` names them. What is given up of safety is said on *output*."""
        if not self.verify:
            output.warn("--no-verify: whoever is between here and the server can read and change what is pulled")
        return {"endpoint": self.endpoint, "requester_pays": self.requester_pays, "verify_tls": self.verify}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Choosing(Reaching):
    """How the source is read, and what of it is taken."""

    files: Annotated[Path | None, Parameter(group=GROUP)] = None
    """For an http(s) directory: a file with one name per line, or in the form of sha256sum."""
    include: Annotated[tuple[str, ...], Parameter(group=GROUP)] = ()
    """A pattern of paths to take, such as '*.safetensors'; may be repeated."""
    exclude: Annotated[tuple[str, ...], Parameter(group=GROUP)] = ()
    """A pattern of paths to leave out, such as '*.bin'; may be repeated."""
    prefer: Annotated[str, Parameter(group=GROUP)] = "auto"
    """Which weights to take where a source has several sets: auto, safetensors, bin …, or all."""
    expect: Annotated[str, Parameter(group=GROUP)] = "auto"
    """The format it must have: auto, huggingface, gguf, sklearn, or any (no check)."""
    sha256: Annotated[str | None, Parameter(group=GROUP)] = None
    """For a single file, or an archive as it lies there: the digest it must have."""
    require_signature: Annotated[Path | None, Parameter(group=GROUP)] = None
    """A public key (PEM): refuse a model that it has not signed."""
    max_rate: Annotated[str | None, Parameter(group=GROUP)] = None
    """At most this fast, such as 200MB (per second), over all connections."""


def chosen(said: Choosing | None, output: Output) -> Choices:
    """As the rest of the program takes it. What is given up of safety is said on *output*.

    Raises:
        InvalidInput: A file cannot be read, or a value is none of its option.
    """
    said = said or Choosing()
    names = _text("--files", said.files, LONGEST_LIST_BYTES)
    return choosing.chosen(
        **said.options(output),
        files=None if names is None else tuple(names.splitlines()),
        include=said.include,
        exclude=said.exclude,
        prefer=said.prefer,
        expect=said.expect,
        sha256=said.sha256,
        signed_by=_text("--require-signature", said.require_signature, LONGEST_KEY_BYTES),
        max_rate_bytes_per_s=_rate(said.max_rate),
    )


def _text(option: str, file: Path | None, at_most_bytes: int) -> str | None:
    if file is None:
        return None
    try:
        with file.open("rb") as opened:
            text = opened.read(at_most_bytes + 1)
        if len(text) > at_most_bytes:
            raise InvalidInput(f"{option} {file} is longer than {units.show_bytes(at_most_bytes)}")
        return text.decode()
    except OSError as error:
        raise InvalidInput(f"{option} {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise InvalidInput(f"{option} {file} is no text") from None


def _rate(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        rate = float(units.parse_bytes(text.removesuffix("/s")))
    except ValueError as error:
        raise InvalidInput(f"--max-rate: {error}", hint="such as --max-rate 200MB") from error
    if not rate:
        raise InvalidInput(f"--max-rate {text} lets nothing through", hint="such as --max-rate 200MB")
    return rate
