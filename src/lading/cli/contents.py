"""`lading cat`, `du` and `adopt`: what lies on a volume, with a manifest or without."""

import asyncio
import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from lading.answers.weights import ListedVersion
from lading.cli.interrupt import stoppable
from lading.cli.output import Common, Output
from lading.cli.where import Where, chosen
from lading.errors import Cancelled, InvalidReference, NotPublished, VolumeError
from lading.events import VerifyProgress
from lading.flows.pull import who
from lading.spec import ref as refs
from lading.spec import units
from lading.spec.nearest import nearest
from lading.weights import layout, names
from lading.weights.inventory import Adoption, Usage
from lading.weights.manifest import Manifest
from lading.wiring.volumes import Place, adoptable, placed, reached

if TYPE_CHECKING:
    from lading.ports.volume import Volume

_COPY_BYTES = 1 << 20
_PROGRESS_S = 0.25


def cat(ref: str, path: str, *, where: Where | None = None, common: Common | None = None) -> None:
    """Print a file of a model on stdout.

    Args:
        ref: A model on a volume, such as ./volume/tiny or pvc://claim/tiny@v1, or a folder without a manifest.
        path: The file, relative to the model or folder.
    """
    Output(common)
    with placed(ref, chosen(where)) as place:
        whole = _file(place, path, ref)
        try:
            with place.volume.open_plain(whole) as file:
                shutil.copyfileobj(file, sys.stdout.buffer, _COPY_BYTES)
                sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise VolumeError(f"{path} of {ref} cannot be read: {error.strerror or error}") from error


def du(volume: str = ".", *, where: Where | None = None, common: Common | None = None) -> None:
    """Show what everything on a volume takes.

    Args:
        volume: A volume, such as ./volume or pvc://claim.
    """
    output = Output(common)
    with placed(volume, chosen(where)) as place:
        if place.path != ".":
            raise InvalidReference(f"{volume} is not a whole volume", hint=f"lading du {place.volume.shown}")
        usage, shown = place.volume.usage(), place.volume.shown
    output.result(usage, _used(usage, shown))
    if output.json:
        return
    rows = [
        (
            one.model,
            one.version,
            "*" if one.current else "",
            units.show_bytes(one.size_bytes),
            _shared(one.shared_bytes),
        )
        for one in usage.versions
    ]
    rows += [(one.path, "", "", units.show_bytes(one.size_bytes), "") for one in usage.unmanaged]
    if rows:
        output.table(["model", "version", "current", "size", "shared"], rows, right=["size", "shared"])


async def adopt(
    ref: str,
    *,
    model: str | None = None,
    version: str | None = None,
    expect: str = "auto",
    source: str | None = None,
    where: Where | None = None,
    common: Common | None = None,
) -> None:
    """List a folder that lies on a volume as a model, where it is.

    Its files are hashed and its manifest is written; nothing is moved or renamed, so what points there goes on working.

    Args:
        ref: The folder, such as ./volume/Granite-7B or pvc://claim/Granite-7B.
        model: Its name on the volume; made from the folder's name by default.
        version: The first 12 digits of a digest of its files by default.
        expect: The format it must have; `any` for no check.
        source: Where it came from, for the manifest.
    """
    from lading.cli.verify import VerifyView

    view = VerifyView()
    output = Output(common, live=view)

    async def work() -> tuple[Manifest, str]:
        async with reached(ref, chosen(where), write=True, emit=output.event) as found:
            place = await asyncio.to_thread(adoptable, found, ref)
            name = model or refs.model_name(place.path if place.path != "." else place.volume.shown.rpartition("/")[2])
            adoption = Adoption(
                path=place.path, model=refs.check_model(name), version=version, expect=expect,
                source=source or layout.place(place.volume.shown, place.path), by=who(),
            )  # fmt: skip
            manifest = await _in_thread(place.volume, adoption, output)
            return manifest, place.volume.shown

    try:
        manifest, shown = await stoppable(work(), kept="nothing was listed")
    finally:
        view.close()
    name = f"{shown}/{manifest.model}@{manifest.version}"
    output.result(
        ListedVersion.of(manifest, current=True),
        f"{name} is listed where it lies, at {layout.place(shown, manifest.path)}: {manifest.format}, "
        f"{units.show_count(len(manifest.files), 'file')}, {units.show_bytes(manifest.size_bytes)}",
    )
    output.next(f"lading verify {name}")


async def _in_thread(volume: "Volume", adoption: Adoption, output: Output) -> Manifest:
    """Adopt in a thread; cancelled, it returns only after the thread has ended."""
    stop = threading.Event()
    meter = _Meter(_total(volume, adoption.path), output, asyncio.get_running_loop().call_soon_threadsafe, stop)
    running = asyncio.ensure_future(asyncio.to_thread(volume.adopt, adoption, progress=meter))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # seen: the cancellation is what is told
        raise


class _Meter:
    """Tells how much is hashed, a few times a second, from any thread; stops the work when *stop* is set."""

    def __init__(self, total_bytes: int, output: Output, soon: Callable[..., object], stop: threading.Event) -> None:
        self._total_bytes = total_bytes
        self._output = output
        self._soon = soon
        self._stop = stop
        self._done_bytes = 0
        self._began = self._told = time.monotonic()

    def __call__(self, count: int) -> None:
        if self._stop.is_set():
            raise Cancelled("interrupted")
        self._done_bytes += count
        now = time.monotonic()
        if now - self._told < _PROGRESS_S:
            return
        self._told = now
        event = VerifyProgress(
            done_bytes=self._done_bytes,
            total_bytes=max(self._total_bytes, self._done_bytes),
            rate_bytes_per_s=self._done_bytes / (now - self._began),
        )
        self._soon(self._output.event, event)


def _total(volume: "Volume", path: str) -> int:
    return sum(folder.size_bytes for folder in volume.unmanaged() if folder.path == path)


def _file(place: Place, path: str, ref: str) -> str:
    """The path of a file from the volume's root: one that the manifest has, or any in a folder without one.

    Raises:
        InvalidReference: The manifest does not have it, or it leads out of the folder that *ref* names.
        NotPublished: There is no such version.
    """
    try:
        found = place.named()
        manifest = found.volume.manifest(found.model, found.version) if found.model else None
    except (NotPublished, InvalidReference):
        if place.version is not None:
            raise
        manifest = None
    if manifest is None:
        problem = names.problem(path)
        if problem is not None:
            raise InvalidReference(f"{path!r} is no file of {ref}: {problem}", hint=f"lading ls --files {ref}")
        return path if place.path == "." else f"{place.path}/{path}"
    known = [file.path for file in manifest.files]
    if path not in known:
        near = nearest(path, known)
        raise InvalidReference(
            f"{manifest.model}@{manifest.version} has no file {path!r}",
            hint=f"did you mean `{near}`?" if near else f"it has {', '.join(known[:8])}",
        )
    return manifest.file_path(path)


def _shared(size_bytes: int) -> str:
    """What a version shares with older ones, by hard links."""
    return units.show_bytes(size_bytes) if size_bytes else ""


def _used(usage: Usage, shown: str) -> str:
    """``pvc://models: 10.0 GB published, 1.20 GB staged, 1.00 GB without a manifest; 37.0 GB of 50.0 GB are free``."""
    parts = {
        "published": usage.published_bytes,
        "staged": usage.staging_bytes,
        "without a manifest": sum(folder.size_bytes for folder in usage.unmanaged),
        "other": usage.other_bytes,
    }
    told = ", ".join(f"{units.show_bytes(size)} {what}" for what, size in parts.items() if size or what == "published")
    free, capacity = units.show_bytes(usage.free_bytes), units.show_bytes(usage.capacity_bytes)
    return f"{shown}: {told}; {free} of {capacity} are free"
