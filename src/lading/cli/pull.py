"""`lading pull`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lading.cli.bar import Bar
from lading.cli.choosing import Choosing, chosen
from lading.cli.in_job import InJob
from lading.cli.interrupt import stoppable
from lading.cli.output import Common, Output
from lading.cli.where import SourceCluster, Where
from lading.cli.where import chosen as chosen_cluster
from lading.errors import InvalidInput
from lading.events import (
    Event,
    FilesShared,
    Notice,
    Published,
    PullPlanned,
    PullProgress,
    Pushed,
    PushPlanned,
    Unchanged,
    VerifyProgress,
)
from lading.flows import pull as flow
from lading.spec import ref as refs
from lading.spec import units
from lading.spec.ref import ClaimRef, LocalRef
from lading.volume import find
from lading.wiring import volumes


async def pull(
    source: str,
    dest: str,
    *,
    version: str | None = None,
    model: str | None = None,
    use: Annotated[bool, Parameter(negative="--no-use")] = True,
    dry_run: bool = False,
    choosing: Choosing | None = None,
    job: InJob | None = None,
    source_cluster: SourceCluster | None = None,
    where: Where | None = None,
    common: Common | None = None,
) -> None:
    """Bring weights from a source onto a volume.

    Interrupt it anywhere and run it again: finished files are not fetched again. A source that the volume has already is
    left alone. Nothing is visible under the model's name before all of it is there, checked.

    Onto a claim, pvc://claim/model, it runs in a Job beside the volume, which reads the source itself; a folder of this
    machine, or a claim of another namespace or cluster, is streamed there. Ctrl-C asks whether the Job goes on; the same
    command again follows it.

    Args:
        source: A folder or file, hf://org/name[@revision], s3://bucket/prefix, https://host/file, https://host/dir/SHA256SUMS
            (all files it names), or pvc://claim/model.
        dest: A volume: any folder; made when it is not there. Below a volume: the model's name on it. Or pvc://claim/model.
        version: Name of the version; that of a source on a claim, else the first 12 digits of its revision by default.
        model: Name of the model on the volume; made from the source's name by default.
        use: Make it the current version of its model.
        dry_run: Print what would be done.
    """
    view = PullView()
    output = Output(common, live=view)
    choices = chosen(choosing, output)
    reference, target = refs.parse(source), refs.parse(dest)
    cluster = chosen_cluster(where)
    elsewhere = (source_cluster or SourceCluster()).choice(cluster, reference)
    if isinstance(target, ClaimRef):
        from lading.cli.pull_claim import pull_onto_claim
        from lading.wiring.pulls import Asked

        asked = Asked(
            source=reference,
            dest=target,
            model=model,
            version=version,
            choices=choices,
            use=use,
            source_choice=elsewhere,
        )
        await pull_onto_claim(asked, where or Where(), job or InJob(), output, view, dry_run=dry_run)
        return
    if (job or InJob()) != InJob():
        raise InvalidInput(f"options of a Job were given, and {dest} is no claim", hint="name one: pvc://claim/model")
    place, model, version = volumes.destination(target, model, version)
    found = find.locate(LocalRef(path=str(place)))

    def tell(event: Event) -> None:
        tell_notice(output, view, event)
        output.event(event)

    async def work() -> None:
        async with volumes.sourced(reference, choices, elsewhere or cluster, emit=tell) as adapter:
            there = found.volume if found else None
            order = await flow.decide(adapter, there, reference, model=model, version=version, choices=choices)
            if dry_run:
                tell_order(output, order, place)
                return
            volume = there or find.create_volume(place)
            tell_done(output, await flow.fulfil(order, adapter, volume, use=use, emit=tell), place, then="serve")

    try:
        await stoppable(work(), kept="finished files are kept")
    finally:
        view.close()


def tell_notice(output: Output, view: "PullView", event: Event) -> None:
    """What a person should read also where nobody watches a bar."""
    if isinstance(event, Notice):
        view.pause()
        output.say(event.message + (f" ({event.hint})" if event.hint else ""))
    if isinstance(event, FilesShared):
        view.pause()
        output.say(
            f"shared with {', '.join(event.versions)}: {units.show_count(event.files, 'file')}, "
            f"{units.show_bytes(event.size_bytes)}, hashed again and not fetched"
        )


def tell_order(output: Output, order: flow.Order, place: Path | str) -> None:
    """What a pull would do, file by file."""
    todo = flow.plan(order)
    name = f"{place}/{order.model}@{order.version}"
    if todo.unchanged:
        event = Unchanged(model=order.model, version=order.version, path=f"{place}/{order.model}/{order.version}")
        output.result(event, f"{name} has this already: nothing to do")
        return
    size = units.show_bytes(todo.fetch_bytes)
    output.result(
        flow.planned(order, todo, str(place)),
        f"would pull {units.show_count(len(todo.fetch), 'file')}, {size}, from {order.listing.ref} to {name}",
    )
    for note in (*order.listing.notes, *order.notes):
        output.say(note)
    if not output.json:
        rows = [(entry.path, _size(entry.size_bytes)) for entry in todo.fetch]
        output.table(["file", "size"], rows, right=["size"])


def tell_done(output: Output, done: Published | Unchanged, place: Path | str, *, then: str) -> None:
    """The answer first: what is where on *place*; *then* is the command to go on with."""
    name = f"{place}/{done.model}@{done.version}"
    if output.json:
        return  # its event was the last line
    if isinstance(done, Unchanged):
        output.result(done, f"{name} is unchanged: the source is what the volume has\n{done.path}")
        return
    rate = units.show_rate(done.size_bytes / done.seconds)
    output.result(
        done,
        f"{name} is published: {units.show_count(done.files, 'file')}, {units.show_bytes(done.size_bytes)} "
        f"in {units.show_seconds(done.seconds)} ({rate})\n{done.path}",
    )
    output.next(f"lading {then} {name}")


def _size(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else units.show_bytes(size_bytes)


class PullView:
    """Draws a pull, or a push, for a person who watches: how far, how fast, how long still."""

    def __init__(self) -> None:
        self._bar = Bar()
        self._title = ""

    def __call__(self, event: Event) -> None:
        """Draw *event*."""
        match event:
            case PullPlanned() | PushPlanned():
                self._title = f"{event.model}@{event.version}"
                self._draw(event.kept_bytes, event.size_bytes, "")
            case PullProgress() if self._title:  # one that was under way when all ended is not drawn
                self._draw(event.done_bytes, event.total_bytes, _state(event))
            case VerifyProgress() if self._title:  # what was pushed is read back
                self._draw(
                    event.done_bytes, event.total_bytes, f"reading back, {units.show_rate(event.rate_bytes_per_s)}"
                )
            case Published() | Unchanged() | Pushed():
                self.close()
            case _:
                pass

    def pause(self) -> None:
        """Give the terminal to other words; the next event draws again."""
        self._bar.close()

    def close(self) -> None:
        """Leave the terminal as it was; idempotent."""
        self._title = ""
        self._bar.close()

    def _draw(self, done_bytes: int, total_bytes: int, state: str) -> None:
        self._bar.draw(self._title, done_bytes=done_bytes, total_bytes=total_bytes, state=state)


def _state(event: PullProgress) -> str:
    """``1.20 GB of 14.2 GB, 830 MB/s, 15.7 s left``."""
    left = f", {units.show_seconds(event.eta_s)} left" if event.eta_s is not None else ""
    done, total = units.show_bytes(event.done_bytes), units.show_bytes(event.total_bytes)
    return f"{done} of {total}, {units.show_rate(event.rate_bytes_per_s)}{left}"
