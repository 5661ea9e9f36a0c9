"""Talking to the Docker daemon of this machine: thin verbs, and its refusals in words that say what to do.

Only containers that carry our owner's label are ever found, and only what was found is started, stopped or deleted.
"""

import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from lading.backends import docker_container
from lading.backends.asking import printable
from lading.backends.docker_container import OWNER, Seen
from lading.errors import MissingExtra, PortInUse, ServingError
from lading.events import Emit, ImageProgress, ImagePulled
from lading.manifests import ours

if TYPE_CHECKING:
    from aiodocker import Docker

_SOCKETS = (
    "/run/docker.sock",
    "/var/run/docker.sock",
    "~/.docker/run/docker.sock",
    "~/.docker/desktop/docker.sock",
    "~/.rd/docker.sock",
)
_ANSWER_S = 60.0
_PROGRESS_EVERY_S = 0.5
_LOCAL = ("unix://", "npipe://", "tcp://127.0.0.1", "tcp://localhost", "http://127.0.0.1", "http://localhost")


class DaemonSilent(ServingError):
    """The daemon does not answer: it is not there, is being started again, or may not be asked by this user."""


class NoSuchContainer(ServingError):
    """It is gone."""


class NameTaken(ServingError):
    """Another container has the name."""


def address() -> str:
    """Where the daemon of this machine listens: ``DOCKER_HOST``, else the current context of the docker command, else a known socket.

    Raises:
        DaemonSilent: Nowhere that is known.
        ServingError: It is another machine's.
    """
    found = os.environ.get("DOCKER_HOST") or _of_context() or _of_socket()
    if found is None:
        raise DaemonSilent(
            "no Docker daemon was found on this machine",
            hint="start it, or say where it listens: DOCKER_HOST=unix:///…",
        )
    if not found.startswith(_LOCAL):
        raise ServingError(
            f"the Docker daemon at {found} is another machine's, which does not have the model",
            hint="unset DOCKER_HOST, or run lading there",
        )
    return found


def _of_socket() -> str | None:
    places = (Path(place).expanduser() for place in _SOCKETS)
    return next((f"unix://{place}" for place in places if place.is_socket()), None)


def _of_context() -> str | None:
    """The host of the current context that is not the default one."""
    home = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        name = os.environ.get("DOCKER_CONTEXT") or json.loads((home / "config.json").read_bytes()).get("currentContext")
        for meta in (home / "contexts" / "meta").glob("*/meta.json"):
            document = json.loads(meta.read_bytes())
            if document.get("Name") == name:
                return str(document["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return None


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator["Docker"]:
    """A client of the daemon.

    Raises:
        MissingExtra: aiodocker is not installed.
        DaemonSilent: As `address`.
    """
    if find_spec("aiodocker") is None:
        raise MissingExtra("the docker backend", extra="docker")
    import aiodocker

    timeout = aiohttp.ClientTimeout(total=_ANSWER_S, sock_connect=5.0)
    client = aiodocker.Docker(url=address(), timeout=timeout)
    try:
        yield client
    finally:
        await client.close()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """The daemon's refusals as our errors."""
    from aiodocker.exceptions import DockerError

    try:
        yield
    except DockerError as error:
        raise _refusal(error.status, error.message, error.__context__) from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise _silent(str(error) or type(error).__name__, error) from error


def _refusal(status: int, message: str, cause: BaseException | None) -> ServingError:
    said = printable(message)
    if status == 900:
        return _silent(said, cause)
    if status == 404 and "no such container" in said.lower():
        return NoSuchContainer(said)
    if status == 409 and "already in use" in said:
        return NameTaken(said)
    hint = next((hint for words, hint in _REMEDIES if words in said), None)
    if "port is already allocated" in said or "address already in use" in said:
        return PortInUse(f"the port is in use: {said}", hint=hint)
    return ServingError(f"Docker refused: {said}", hint=hint)


_REMEDIES = (
    ("port is already allocated", "give another with --port, or leave it out to have a free one chosen"),
    ("address already in use", "give another with --port, or leave it out to have a free one chosen"),
    ("could not select device driver", "install the NVIDIA Container Toolkit, then `nvidia-ctk runtime configure`"),
    ("nvidia-container-cli", "`nvidia-smi` shows the GPUs of this machine; gpus: 0 takes none"),
    ("bind source path does not exist", "the daemon sees other folders than this command: run both on one machine"),
    ("no such file or directory: unknown", "the image does not have that program: name another with --image"),
    ("executable file not found", "the image does not have that program: name another with --image"),
    ("OOM-killed", "give it more: resources: {memory: …}"),
    ("network bridge not found", "this daemon has no bridge: network: host"),
)


def _silent(said: str, cause: BaseException | None) -> DaemonSilent:
    system = getattr(cause, "os_error", cause)
    if isinstance(system, PermissionError):
        hint = "only root and the group docker may ask it: `sudo usermod -aG docker $USER`, then log in again"
    else:
        hint = "is it running? `docker info` asks it; DOCKER_HOST says where it listens"
    return DaemonSilent(f"the Docker daemon does not answer: {printable(said)}", hint=hint)


# ------------------------------------------------------------------------------------------------------------ containers


async def require(docker: "Docker") -> None:
    """Nothing, where the daemon answers.

    Raises:
        DaemonSilent: It does not.
    """
    with _told():
        await docker.version()


async def every(docker: "Docker", owner: str) -> tuple[Seen, ...]:
    """All containers of *owner*, whatever their state, by server."""
    wanted = json.dumps({"label": [f"{OWNER}={owner}", f"{ours.MANAGED_BY}={ours.MANAGER}"]})
    with _told():
        listed = await docker.containers.list(all="true", filters=wanted)
    found = [await look(docker, str(one.id)) for one in listed]
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.name))


async def find(docker: "Docker", owner: str, name: str) -> Seen | None:
    """The container of *owner*'s server *name*; None where there is none, or another's has that name."""
    found = await look(docker, docker_container.container_name(name, owner))
    return found if found is not None and found.labels.get(OWNER) == owner else None


async def look(docker: "Docker", container: str) -> Seen | None:
    """A container as it is now; None when it is gone."""
    try:
        with _told():
            return docker_container.seen(await docker.containers.container(container).show())
    except NoSuchContainer:
        return None


async def create(docker: "Docker", name: str, document: Mapping[str, Any]) -> str:
    """Create a container; its id.

    Raises:
        NameTaken, ServingError, DaemonSilent: As named.
    """
    with _told():
        made = await docker.containers.create(dict(document), name=name)
    return str(made.id)


async def start(docker: "Docker", container: str) -> None:
    """Start it; one that runs is left as it is.

    Raises:
        PortInUse, ServingError, DaemonSilent: As named.
    """
    with _told():
        await docker.containers.container(container).start()


async def end(docker: "Docker", container: str, *, grace_s: float) -> None:
    """Ask it to end, kill it after *grace_s*, and delete it; silent when it is gone, or going."""
    with contextlib.suppress(NoSuchContainer), _told():
        await docker.containers.container(container).stop(t=max(1, round(grace_s)))
    try:
        with _told():
            await docker.containers.container(container).delete(force=True, v=True)
    except NoSuchContainer:
        return
    except ServingError as error:
        if "removal of container" not in error.message:  # another command is deleting it
            raise


async def log(docker: "Docker", container: str, *, lines: int) -> tuple[str, ...]:
    """The last lines of its output, oldest first; empty when it is gone."""
    try:
        with _told():
            said = await docker.containers.container(container).log(stdout=True, stderr=True, tail=lines)
    except NoSuchContainer:
        return ()
    text = "".join(said)
    return tuple(printable(line.rstrip("\r")) for line in text.split("\n") if line.strip())[-lines:]


# ---------------------------------------------------------------------------------------------------------------- images


async def have_image(docker: "Docker", image: str, emit: Emit) -> None:
    """Have *image* here: pulled, with progress, where it is not.

    Raises:
        ServingError: It cannot be pulled; the hint says how to get it.
    """
    from aiodocker.exceptions import DockerError

    try:
        await docker.images.inspect(image)
    except DockerError as error:
        if error.status != 404:
            raise _refusal(error.status, error.message, error.__context__) from error
        await _pull(docker, image, emit)


async def _pull(docker: "Docker", image: str, emit: Emit) -> None:
    began = told = time.monotonic()
    layers: dict[str, tuple[int, int]] = {}
    emit(ImageProgress(image=image, done_bytes=0, total_bytes=0))
    try:
        with _told():
            async for step in docker.images.pull(image, stream=True):
                _count(layers, step)
                if time.monotonic() - told >= _PROGRESS_EVERY_S:
                    told = time.monotonic()
                    emit(_progress(image, layers))
    except DaemonSilent:
        raise
    except ServingError as error:
        raise ServingError(
            f"the image {image} is not on this machine, and cannot be pulled: {error.message.removeprefix('Docker refused: ')}",
            hint=f"`docker pull {image}` (after `docker login`, where it is private), `docker load`, or another with --image",
        ) from error
    emit(ImagePulled(image=image, size_bytes=_progress(image, layers).total_bytes, seconds=time.monotonic() - began))


def _count(layers: dict[str, tuple[int, int]], step: Mapping[str, Any]) -> None:
    """Note what *step* of a pull says of a layer; a layer that is there counts whole."""
    detail, layer = step.get("progressDetail") or {}, str(step.get("id", ""))
    if step.get("status") == "Downloading" and detail.get("total"):
        layers[layer] = (int(detail.get("current", 0)), int(detail["total"]))
    elif step.get("status") in {"Download complete", "Pull complete"} and layer in layers:
        layers[layer] = (layers[layer][1], layers[layer][1])


def _progress(image: str, layers: Mapping[str, tuple[int, int]]) -> ImageProgress:
    return ImageProgress(
        image=image,
        done_bytes=sum(done for done, _ in layers.values()),
        total_bytes=sum(all_ for _, all_ in layers.values()),
    )
