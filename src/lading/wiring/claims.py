"""From a claim that a user names to its volume: mounted here already, or through a helper pod.

Imports `cluster` and `placement`, which a command on a folder never needs: import this module where a reference is a claim.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from lading.cluster import access
from lading.cluster.execute import NotStarted
from lading.cluster.loop import CLUSTER
from lading.errors import ChannelClosed, ClusterDenied, ClusterError, ClusterUnreachable, InvalidReference
from lading.events import Emit, Event, Notice, ignore
from lading.manifests import ours
from lading.placement.helper import Helper, helper, rights
from lading.ports.volume import Channel
from lading.spec import ref as refs
from lading.spec.placement import Choice
from lading.spec.ref import ClaimRef, LocalRef, Reference
from lading.volume import find
from lading.volume.find import Found
from lading.volume.remote import RemoteVolume
from lading.weights import layout
from lading.wiring import clusters

#: The folder where a claim is mounted here, such as in a workbench; the volume's own document says which claim it is.
MOUNTED_VARIABLE = "LADING_VOLUME"
#: An API server that restarts is back within this time.
_RECONNECT_S = 90.0
_PAUSE_S = 1.0
#: So many attempts that break soon are made before it is said.
_ATTEMPTS = 5
_LIVELY_S = 30.0
T = TypeVar("T")


@contextmanager
def opened(ref: str | Reference, choice: Choice, *, write: bool, emit: Emit = ignore) -> Iterator[Found]:
    """The volume that *ref* names, with model and version: a folder, or a claim in the cluster of *choice*.

    For a claim that is not mounted here a helper pod is there until the block is left, also by Ctrl-C. Blocking, from
    any thread; on a loop of your own use `reached`.

    Raises:
        ClusterDenied: Rights are missing; said before anything is done.
        ClaimUnusable, PodFailed, ClusterError: As `lading.placement.helper.helper`.
        VolumeError, InvalidReference: As `lading.volume.find.find`.
    """
    found = here(ref, choice)
    if found is not None:
        yield found
        return
    block = _open(_claim(ref), choice, write=write, emit=emit)
    volume = CLUSTER.run(block.__aenter__())
    try:
        yield _found(volume, _claim(ref))
    finally:
        volume.close()
        CLUSTER.run(block.__aexit__(None, None, None))


@asynccontextmanager
async def reached(ref: str | Reference, choice: Choice, *, write: bool, emit: Emit = ignore) -> AsyncIterator[Found]:
    """As `opened`, on a loop of your own: cancelling it cleans up, too. The volume itself blocks, as every volume does."""
    found = here(ref, choice)
    if found is not None:
        yield found
        return
    told = _across(emit)
    block = _open(_claim(ref), choice, write=write, emit=told)
    volume = await CLUSTER.awaited(block.__aenter__())
    try:
        yield _found(volume, _claim(ref))
    finally:
        volume.close()
        await CLUSTER.awaited(block.__aexit__(None, None, None))


async def persistent(work: Callable[[], Awaitable[T]], *, emit: Emit = ignore) -> T:
    """What *work* gives; begun again where the stream into the pod breaks, from what it finished on the volume.

    Without end while each attempt lives for a while, a few times otherwise.

    Raises:
        ChannelClosed: It broke again and again.
        LadingError: As *work* raises it.
    """
    loop = asyncio.get_running_loop()
    left = _ATTEMPTS
    while True:
        began = loop.time()
        try:
            return await work()
        except ChannelClosed as error:
            left = _ATTEMPTS if loop.time() - began > _LIVELY_S else left - 1
            if not left:
                raise
            emit(Notice(message=f"{error.message}; going on with what is finished"))


def here(ref: str | Reference, choice: Choice) -> Found | None:
    """What *ref* names where no cluster is needed: a folder, or a claim that is mounted here; None otherwise.

    Raises:
        VolumeError, InvalidReference: As `lading.volume.find.find`; *ref* is no place for weights at all.
    """
    parsed = refs.parse(ref) if isinstance(ref, str) else ref
    if isinstance(parsed, LocalRef):
        return find.find(parsed)
    if not isinstance(parsed, ClaimRef):
        raise InvalidReference(f"{ref} is neither a folder nor a claim", hint=f"lading pull {ref} VOLUME")
    folder = mounted(parsed, choice.namespace, os.environ)
    if folder is None:
        return None
    return Found(volume=find.open_volume(folder), model=parsed.model, version=parsed.version)


def shown(ref: ClaimRef, choice: Choice) -> str:
    """The whole claim of *ref* as a person names it, with the namespace where one was said: hints are right as they are."""
    return str(ClaimRef(claim=ref.claim, namespace=ref.namespace or choice.namespace))


def mounted(ref: ClaimRef, namespace: str | None, environment: Mapping[str, str]) -> Path | None:
    """The folder of this machine where the claim is mounted and is a volume, as far as the *environment* tells.

    A pod of ours knows its claim; a workbench is told by ``LADING_VOLUME``, and believed when the volume says so itself.
    """
    wanted = (ref.claim, ref.namespace or namespace)
    own = (environment.get(ours.CLAIM_VARIABLE), environment.get(ours.NAMESPACE_VARIABLE))
    if own[0] and _same(wanted, own) and (Path(ours.MOUNT) / layout.VOLUME).is_file():
        return Path(ours.MOUNT)
    folder = environment.get(MOUNTED_VARIABLE)
    return Path(folder) if folder and _same(wanted, _says(Path(folder))) else None


def _same(wanted: tuple[str, str | None], found: tuple[str | None, str | None]) -> bool:
    """Whether both name one claim; without a namespace it is the one that the volume is in."""
    return wanted[0] == found[0] and wanted[1] in {None, found[1]}


def _says(folder: Path) -> tuple[str | None, str | None]:
    """Which claim the volume at *folder* says it is."""
    try:
        document = json.loads((folder / layout.VOLUME).read_bytes())
        return document.get("claim"), document.get("namespace")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None, None


def _claim(ref: str | Reference) -> ClaimRef:
    parsed = refs.parse(ref) if isinstance(ref, str) else ref
    assert isinstance(parsed, ClaimRef)
    return parsed


def _found(volume: RemoteVolume, ref: ClaimRef) -> Found:
    return Found(volume=volume, model=ref.model, version=ref.version)


@asynccontextmanager
async def _open(ref: ClaimRef, choice: Choice, *, write: bool, emit: Emit) -> AsyncIterator[RemoteVolume]:
    """The claim's volume through a helper pod; on the loop of `CLUSTER`."""
    chosen = replace(choice, namespace=ref.namespace or choice.namespace)
    async with clusters.cluster(chosen) as cluster:
        missing = await cluster.missing(rights())
        if missing:
            raise access.denied(missing, what=f"a look into {ref}" if not write else f"writing to {ref}")
        placement = clusters.placement(chosen)
        async with helper(cluster, ref.claim, write=write, placement=placement, emit=emit) as pod:
            yield RemoteVolume(
                _connector(pod, write=write), shown=shown(ref, choice), claim=ref.claim, namespace=cluster.namespace
            )


def _connector(pod: Helper, *, write: bool) -> Callable[[], Channel]:
    """New channels to the volume's agent in *pod*; an API server that restarts is waited for, a pod that is gone replaced."""
    argv = ["lading", "agent", ours.MOUNT, *([] if write else ["--read-only"])]

    def connect() -> Channel:
        deadline = time.monotonic() + _RECONNECT_S
        while True:
            try:
                return pod.channel(argv)
            except (NotStarted, ClusterDenied):
                raise
            except ClusterError:
                if time.monotonic() > deadline:
                    raise
            with suppress(ClusterUnreachable):
                if pod.revived():
                    continue
            time.sleep(_PAUSE_S)

    return connect


def _across(emit: Emit) -> Emit:
    """An `Emit` that may be called on another thread."""
    loop = asyncio.get_running_loop()

    def tell(event: Event) -> None:
        loop.call_soon_threadsafe(emit, event)

    return tell
