"""A command as a document: what a pod or Job of ours is told to do, instead of an argv.

It carries a major version: the image that runs it must speak the same one. It never carries a secret; credentials reach
a pod by environment variables that come from Secrets.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import Discriminator, TypeAdapter, ValidationError

from lading.errors import InvalidDocument, VersionSkew
from lading.spec import ref as refs
from lading.spec.base import Spec
from lading.spec.pull import Choices
from lading.spec.ref import ClaimRef

VERSION = 1
API_VERSION: Literal["lading.dev/command.v1"] = "lading.dev/command.v1"


class _Command(Spec):
    apiVersion: Literal["lading.dev/command.v1"] = API_VERSION  # noqa: N815 - as Kubernetes spells it


class _FromSource(_Command, Choices):
    """What is said of a source: the choices of a pull are keys of the document."""

    source: str
    model: str | None = None
    version: str | None = None

    @property
    def source_claim(self) -> str | None:
        """The claim that its pod mounts beside the volume, to read from it; None: the source is elsewhere."""
        source = refs.parse(self.source)
        return source.claim if isinstance(source, ClaimRef) else None


class PullCommand(_FromSource):
    """Bring *source* onto the volume: `lading pull`."""

    command: Literal["pull"] = "pull"
    use: bool = True
    replace: bool = False
    """Remove the model's other versions before a byte comes: room for one copy only."""


class PushCommand(_FromSource):
    """Bring a model that is on the volume to an object store: `lading push`.

    *source* is the model on the claim; *endpoint* and its like are those of *dest*.
    """

    command: Literal["push"] = "push"
    dest: str
    replace: bool = False
    """Let files there be replaced that have other content."""
    remove_extra: bool = False
    """Remove files there that are not of this model."""
    read_back: Literal["checksums", "full"] = "checksums"


class VerifyCommand(_Command):
    """Hash what is on the volume again: `lading verify`."""

    command: Literal["verify"] = "verify"
    model: str | None = None
    version: str | None = None
    threads: int | None = None


class ListSourceCommand(_FromSource):
    """Look at *source* from where the Job will run, before a byte moves: reachable, allowed, whole, how big."""

    command: Literal["list-source"] = "list-source"

    @classmethod
    def before(cls, pull: PullCommand) -> "ListSourceCommand":
        """The look before *pull*."""
        return cls(**{name: getattr(pull, name) for name in _FromSource.model_fields})


class RepairPermissionsCommand(_Command):
    """Make what is on the volume readable by all and writable by its group: `lading claim repair-permissions`."""

    command: Literal["repair-permissions"] = "repair-permissions"
    group: int | None = None
    dry_run: bool = False


Command = Annotated[
    PullCommand | PushCommand | VerifyCommand | ListSourceCommand | RepairPermissionsCommand, Discriminator("command")
]
_ADAPTER: TypeAdapter[Command] = TypeAdapter(Command)


def parse(text: str) -> Command:
    """The command that *text* is.

    Raises:
        VersionSkew: It was written by a Lading of another major version of commands.
        InvalidDocument: It is no command.
    """
    try:
        document: Any = json.loads(text)
    except ValueError as error:
        raise InvalidDocument(f"the command is no JSON: {error}") from error
    spoken = document.get("apiVersion") if isinstance(document, dict) else None
    if isinstance(spoken, str) and spoken.startswith("lading.dev/command.") and spoken != API_VERSION:
        raise VersionSkew(
            f"the command is written as {spoken}, this image reads {API_VERSION}",
            hint="use the image of the same Lading: `lading images` names it",
        )
    try:
        return _ADAPTER.validate_python(document)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
        raise InvalidDocument("this is no command of ours", problems=problems) from error
