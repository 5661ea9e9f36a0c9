"""`lading images`: every container image there is to mirror, before something hangs on one that is not."""

from lading.answers.images import ImageListed
from lading.cli.output import Common, Output
from lading.errors import InvalidInput

BASE = "docker.io/library/python:3.13-slim"
"""What the shipped Dockerfile builds on, unless told otherwise."""
#: Commands that start pods of ours, where they are given a claim.
ON_CLAIMS = (
    "pull",
    "push",
    "verify",
    "ls",
    "show",
    "diff",
    "cat",
    "du",
    "adopt",
    "use",
    "rm",
    "prune",
    "claim",
    "jobs",
)


def images(command: str | None = None, *, image: str | None = None, common: Common | None = None) -> None:
    """List the container images that commands use, for a mirror.

    Args:
        command: Only what this one uses, such as pull.
        image: Image of our pods; $LADING_IMAGE, or the one of this version by default.
    """
    output = Output(common)
    if command is not None:
        _check(command)
    listed = [one for one in needed(image) if command is None or command in one.commands]
    if output.json:
        for one in listed:
            output.result(one)
        return
    if not listed:
        output.say(f"`lading {command}` uses no image")
        return
    output.table(["image", "what", "used by"], [(one.image, one.what, _users(one)) for one in listed])


def needed(image: str | None = None) -> list[ImageListed]:
    """All of them, ours first; *image* takes the place of ours."""
    from lading import wiring
    from lading.wiring.clusters import default_image

    engines = [wiring.engine(name) for name in wiring.names("engines")]
    return [
        ImageListed(image=image or default_image(), what="Lading: helper pods and Jobs", commands=ON_CLAIMS),
        *(ImageListed(image=one.image, what=f"{one.name}: the server", commands=("report",)) for one in engines),
        ImageListed(image=BASE, what="the base that our image is built on", commands=()),
    ]


def _users(listed: ImageListed) -> str:
    """In words: a person wants to know when, not which of a dozen."""
    if not listed.commands:
        return "docker build --build-arg BASE=…"
    return "commands on pvc://" if listed.commands == ON_CLAIMS else ", ".join(listed.commands)


def _check(command: str) -> None:
    from lading.cli.app import COMMANDS
    from lading.spec.nearest import nearest

    if command in COMMANDS:
        return
    near = nearest(command, list(COMMANDS))
    raise InvalidInput(f"{command!r} is not a command", hint=f"did you mean `lading images {near}`?" if near else None)
