"""A command as a document: what a pod or Job of ours is told to do, instead of an argv.

It carries a major version: the image that runs it must speak the same one. It never carries a secret; credentials reach
a pod by environment variables that come from Secrets.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import Discriminator, TypeAdapter, ValidationError

from lading.errors import InvalidDocument, VersionSkew
from lading.spec.base import Spec

VERSION = 1
API_VERSION: Literal["lading.dev/command.v1"] = "lading.dev/command.v1"


class _Command(Spec):
    apiVersion: Literal["lading.dev/command.v1"] = API_VERSION  # noqa: N815 - as Kubernetes spells it


class PullCommand(_Command):
    """Bring *source* onto the volume: `lading pull`."""

    command: Literal["pull"] = "pull"
    source: str
    model: str | None = None
    version: str | None = None
    endpoint: str | None = None
    files: tuple[str, ...] | None = None
    """For an http(s) directory: its names."""
    exclude: tuple[str, ...] = ()
    expect: str = "auto"
    use: bool = True
    replace: bool = False
    """Remove the model's other versions before a byte comes: room for one copy only."""


class VerifyCommand(_Command):
    """Hash what is on the volume again: `lading verify`."""

    command: Literal["verify"] = "verify"
    model: str | None = None
    version: str | None = None
    threads: int | None = None


class ListSourceCommand(_Command):
    """Look at *source* from where the Job will run, before a byte moves: reachable, allowed, whole, how big."""

    command: Literal["list-source"] = "list-source"
    source: str
    model: str | None = None
    version: str | None = None
    endpoint: str | None = None
    files: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    expect: str = "auto"


class RepairPermissionsCommand(_Command):
    """Make what is on the volume readable by all and writable by its group: `lading claim repair-permissions`."""

    command: Literal["repair-permissions"] = "repair-permissions"
    group: int | None = None
    dry_run: bool = False


Command = Annotated[
    PullCommand | VerifyCommand | ListSourceCommand | RepairPermissionsCommand, Discriminator("command")
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
