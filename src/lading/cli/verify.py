"""`lading verify`."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from lading.cli.bar import Bar
from lading.cli.interrupt import stoppable
from lading.cli.output import Common, Output
from lading.cli.where import Where, chosen
from lading.errors import VerificationFailed
from lading.events import Event, FileBad, PullProgress, RepairPlanned, Verified, VerifyProgress
from lading.flows import verify as flow
from lading.spec import units
from lading.weights.manifest import Manifest
from lading.wiring.volumes import Place, named, reached, selected


async def verify(
    ref: str,
    *,
    quick: Annotated[bool, Parameter(negative=())] = False,
    repair: Annotated[bool, Parameter(negative=())] = False,
    source: str | None = None,
    endpoint: str | None = None,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative=())] = False,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    threads: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    where: Where | None = None,
    common: Common | None = None,
) -> None:
    """Hash a model's files again and compare them with its manifest.

    What lies on a claim is hashed beside it: only names and digests cross the network. What differs is told with the server
    that would notice.

    Args:
        ref: A model on a volume (its current version by default), or a volume or claim: all its versions.
        quick: Look at names, sizes and heads of files only: finds what is cut off, missing or added, no changed bytes.
        repair: Fetch again what is broken or missing, and only that, from where the version came; what comes is held to the
            digests of the manifest, which stays as it is.
        source: With --repair: take the files from here, such as s3://bucket/prefix, rather than from where the version came.
        endpoint: With --repair: address of an S3 store other than AWS.
        yes: With --repair: do not ask, and remove files that do not belong there, too.
        dry_run: With --repair: print what would be fetched.
        threads: How many files are hashed at once; one per core by default.
    """
    view = VerifyView()
    output = Output(common, live=view)
    order = None
    if repair or source or endpoint or yes or dry_run:
        from lading.cli.repair import RepairOrder, repaired  # brings all that fetches

        order = RepairOrder(ref=ref, source=source, endpoint=endpoint, yes=yes, dry_run=dry_run, where=where)
        order.check(repair=repair, quick=quick)
    failures: list[VerificationFailed] = []
    listed: list[Manifest] = []
    bad: list[FileBad] = []

    def tell(event: Event) -> None:
        output.event(event)
        if isinstance(event, FileBad):
            bad.append(event)
            output.say(f"  {event.model}@{event.version}: {_line(event)}")

    async def work() -> None:
        async with reached(ref, chosen(where), write=repair and not dry_run, emit=output.event) as place:
            listed.extend(await asyncio.to_thread(_listed, place, ref))
            for manifest in listed:
                bad.clear()
                try:
                    _tell_verified(
                        output, await flow.verify(place.volume, manifest, quick=quick, emit=tell, threads=threads)
                    )
                except VerificationFailed as failure:
                    if order is None or not await repaired(order, place.volume, manifest, bad, output):
                        failures.append(failure)

    try:
        await stoppable(work(), kept="what was fetched is kept" if repair else "nothing was changed")
    finally:
        view.close()
    if len(failures) > 1:
        told = "\n".join(f"  {failure.message}" for failure in failures)
        raise VerificationFailed(f"{len(failures)} of {len(listed)} versions differ:\n{told}", hint=failures[0].hint)
    if failures:
        raise failures[0]


def _listed(place: Place, ref: str) -> Sequence[Manifest]:
    """What is to be verified: a version, or all of a volume.

    Raises:
        NotPublished, VolumeError: There is none.
    """
    found = place.named() if place.made else named(ref)
    return (found.volume.manifest(found.model, found.version),) if found.model else selected(found)


def _tell_verified(output: Output, result: Verified) -> None:
    if output.json:
        return  # its event was the last line
    if result.quick:
        output.result(
            result,
            f"{result.model}@{result.version} looks as its manifest says: {units.show_count(result.files, 'file')}, by "
            f"names, sizes and heads; their bytes were not read",
        )
        return
    rate = f" ({units.show_rate(result.size_bytes / result.seconds)})" if result.size_bytes else ""
    output.result(
        result,
        f"{result.model}@{result.version} is what its manifest says: {units.show_count(result.files, 'file')}, "
        f"{units.show_bytes(result.size_bytes)} in {units.show_seconds(result.seconds)}{rate}",
    )


def _line(bad: FileBad) -> str:
    """``config.json: size, 3 bytes, not 2; a server may fail``."""
    return f"{bad.path}: {bad.problem}{f', {bad.detail}' if bad.detail else ''}; {bad.noticed}"


class VerifyView:
    """Draws a verification for a person who watches."""

    def __init__(self) -> None:
        self._bar = Bar()
        self.close = self._bar.close

    def __call__(self, event: Event) -> None:
        """Draw *event*."""
        match event:
            case VerifyProgress(done_bytes=done_bytes, total_bytes=total_bytes):
                self._bar.draw("hashing", done_bytes=done_bytes, total_bytes=total_bytes, state=_state(event))
            case PullProgress(done_bytes=done_bytes, total_bytes=total_bytes):
                self._bar.draw("fetching", done_bytes=done_bytes, total_bytes=total_bytes, state=_state(event))
            case FileBad() | RepairPlanned():
                self.close()
            case _:
                pass


def _state(event: VerifyProgress | PullProgress) -> str:
    """``1.20 GB of 14.2 GB, 830 MB/s``."""
    done, total = units.show_bytes(event.done_bytes), units.show_bytes(event.total_bytes)
    return f"{done} of {total}, {units.show_rate(event.rate_bytes_per_s)}"
