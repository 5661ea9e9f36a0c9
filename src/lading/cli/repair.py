"""`lading verify --repair`: what is broken is fetched again, after it was said what and from where."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.cli.output import Output
from lading.cli.where import Where, chosen
from lading.errors import InvalidInput, InvalidReference
from lading.events import FileBad, Repaired
from lading.flows import repair as flow
from lading.flows.repair import Repair
from lading.spec import ref as refs
from lading.spec import units
from lading.spec.pull import Choices
from lading.spec.ref import Reference
from lading.weights import layout
from lading.weights.manifest import Manifest
from lading.wiring.volumes import sourced

if TYPE_CHECKING:
    from lading.ports.volume import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairOrder:
    """What a person asked for with ``--repair``."""

    ref: str
    source: str | None
    endpoint: str | None
    yes: bool
    dry_run: bool
    where: Where | None

    def check(self, *, repair: bool, quick: bool) -> None:
        """Return when the options go together.

        Raises:
            InvalidInput: They do not.
        """
        if repair and quick:
            raise InvalidInput(
                "--quick reads no bytes: it does not know all that is broken", hint="leave out --quick to repair"
            )
        given = {"--source": self.source, "--endpoint": self.endpoint, "--yes": self.yes, "--dry-run": self.dry_run}
        idle = [option for option, value in given.items() if value]
        if idle and not repair:
            raise InvalidInput(f"{' and '.join(idle)}: only with --repair", hint="add --repair, or leave it out")


async def repaired(
    order: RepairOrder, volume: "Volume", manifest: Manifest, bad: Sequence[FileBad], output: Output
) -> bool:
    """Whether all that is *bad* of a version was mended; what would be done is said first, and asked.

    Raises:
        InvalidInput: The answer was no, or nobody can be asked.
        LadingError: As source and volume raise it.
    """
    ref = _source(order, volume, manifest)
    choices = Choices(endpoint=order.endpoint)
    async with sourced(ref, choices, chosen(order.where), emit=output.event) as source:
        repair = await flow.decide(source, ref, manifest, bad)
        output.event(repair.planned())
        await _say(order, repair, output)
        if order.dry_run:
            return False
        if repair.listing.entries:
            await asyncio.to_thread(output.confirm, _question(repair), yes=order.yes)
        done = await flow.fulfil(repair, source, volume, discard=order.yes, emit=output.event)
    if not output.json:
        output.result(done, _told(done))
    return repair.extra == done.removed


async def _say(order: RepairOrder, repair: Repair, output: Output) -> None:
    """What would be done, file by file, and who has the version loaded."""
    for entry in repair.listing.entries:
        output.say(f"  to fetch: {entry.path}, {units.show_bytes(entry.size_bytes or 0)}")
    for path in repair.extra:
        output.say(f"  does not belong there: {path}{'' if order.yes else ' (stays; --yes removes it, too)'}")
    who = await asyncio.to_thread(_loaded_by, order, repair.manifest)
    if who:
        output.say(f"{who} may have it loaded: what runs keeps the old bytes until it is started again")


def _loaded_by(order: RepairOrder, manifest: Manifest) -> str:
    """Who points to the version, on a claim; empty on a folder of this machine."""
    from lading.wiring import pointing

    found = pointing.users(order.ref, chosen(order.where))
    return pointing.told(pointing.into(found, manifest)) if found else ""


def _source(order: RepairOrder, volume: "Volume", manifest: Manifest) -> Reference:
    """Where the files come from.

    Raises:
        InvalidInput: Nobody said where an adopted folder came from.
    """
    name = f"{volume.shown}/{manifest.model}@{manifest.version}"
    text = order.source or manifest.source.ref
    if order.source is None and text == layout.place(volume.shown, manifest.path):
        raise InvalidInput(
            f"{name} was adopted where it lies: nothing says where its files came from",
            hint=f"lading verify {name} --repair --source SOURCE",
        )
    try:
        return refs.parse(text)
    except InvalidReference as error:
        raise InvalidInput(
            f"{name} came from {text!r}, which can be read no more", hint="name a source: --source"
        ) from error


def _question(repair: Repair) -> str:
    planned = repair.planned()
    return (
        f"Fetch {units.show_count(len(planned.files), 'file')}, {units.show_bytes(planned.size_bytes)}, of "
        f"{planned.model}@{planned.version} again from {planned.source}?"
    )


def _told(done: Repaired) -> str:
    parts = [f"{units.show_count(len(done.files), 'file')} replaced, {units.show_bytes(done.size_bytes)}"]
    parts += [f"{units.show_count(len(done.removed), 'file')} removed"] if done.removed else []
    return f"{done.model}@{done.version} was repaired: {'; '.join(parts)}"
