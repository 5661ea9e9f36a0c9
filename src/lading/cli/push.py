"""`lading push`."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Literal

from cyclopts import Parameter

from lading.cli.choosing import Choosing, chosen
from lading.cli.in_job import InJob
from lading.cli.interrupt import stoppable
from lading.cli.output import Common, Output
from lading.cli.pull import PullView, tell_notice
from lading.cli.where import Where
from lading.cli.where import chosen as chosen_cluster
from lading.errors import InvalidInput
from lading.events import Event, Pushed
from lading.flows import push as flow
from lading.spec import ref as refs
from lading.spec import units
from lading.spec.ref import ClaimRef, SourceRef
from lading.weights import beside
from lading.weights.listing import Entry
from lading.wiring import pushes, volumes


async def push(
    source: str,
    dest: str,
    *,
    replace: Annotated[bool, Parameter(negative=())] = False,
    remove_extra: Annotated[bool, Parameter(negative=())] = False,
    read_back: Literal["checksums", "full"] = "checksums",
    model: str | None = None,
    version: str | None = None,
    source_endpoint: str | None = None,
    dry_run: bool = False,
    choosing: Choosing | None = None,
    job: InJob | None = None,
    where: Where | None = None,
    common: Common | None = None,
) -> None:
    """Bring weights from a volume or a source to an object store.

    A version's files are held to its manifest while they are read: what rotted on the volume is found, and never sent.
    Interrupt it anywhere and run it again: parts that are there are not sent again. What lies there then is read back, and
    the manifest is put beside it, last: a later `lading pull` from there verifies every file against it.

    From a claim that is not mounted here, pvc://claim/model, to a store it runs in a Job beside the volume, with the
    credentials that are named for it. --endpoint is the address of DEST; of SOURCE, too, where both are s3://.

    Args:
        source: A model on a volume (./volume/granite@v2, pvc://claim/model), or anything that `lading pull` takes.
        dest: s3://bucket/prefix/, or a folder. Its files are the model's, without a folder of the model's name around them.
        replace: Let files there be replaced that have other content, and another model's manifest.
        remove_extra: Remove files there that are not of this model; asks before.
        read_back: How it is verified: by the checksums that the store keeps, or by downloading and hashing all of it.
        model: Name of the model in the manifest; made from the source's name by default.
        version: Name of the version in it; the first 12 digits of the source's revision by default.
        source_endpoint: Address of SOURCE, where it is an S3 store or a hub other than DEST's.
        dry_run: Print what would be done.
    """
    view = PullView()
    output = Output(common, live=view)
    choices = chosen(choosing, output)
    ref, target = refs.parse(source), refs.parse(dest)

    in_job = job or InJob()
    if isinstance(ref, ClaimRef) and isinstance(target, SourceRef) and not volumes.is_here(ref, chosen_cluster(where)):
        from lading.cli.push_claim import push_from_claim
        from lading.wiring import push_jobs

        order = push_jobs.command(
            ref, target, choices,
            model=model, version=version, replace=replace, remove_extra=remove_extra, read_back=read_back,
        )  # fmt: skip
        try:
            await push_from_claim(
                ref, order, where=where or Where(), in_job=in_job, output=output, view=view, dry_run=dry_run
            )
        finally:
            view.close()
        return
    if dataclasses.replace(in_job, yes=False) != InJob():
        raise InvalidInput("options of a Job were given, and this push runs here", hint="leave them out")

    def tell(event: Event) -> None:
        tell_notice(output, view, event)
        output.event(event)

    async def work() -> None:
        of_source = pushes.of_source(ref, choices, endpoint=source_endpoint)
        destination = pushes.destination(target, pushes.of_destination(choices))
        try:
            async with pushes.sourced(ref, of_source, chosen_cluster(where), emit=tell) as found:
                order = await flow.decide(
                    found.source, destination, ref,
                    journals=found.journals, model=model, version=version, choices=of_source,
                )  # fmt: skip
                if dry_run:
                    tell_order(output, order)
                    return
                if not replace:
                    order.require_free()
                if remove_extra:
                    _ask(output, order, yes=in_job.yes)
                pushed = await flow.fulfil(
                    order, found.source, destination,
                    journals=found.journals, replacing=replace, removing=remove_extra, read_back=read_back, emit=tell,
                )  # fmt: skip
                tell_done(output, pushed, endpoint=choices.endpoint)
        finally:
            destination.close()

    try:
        await stoppable(work(), kept="what was sent is kept there")
    finally:
        view.close()


def tell_order(output: Output, order: flow.PushOrder) -> None:
    """What a push would do, file by file."""
    todo = order.todo
    rows = [
        *_rows("send", todo.send),
        *_rows("replace", todo.other),
        *_rows("compare", todo.unsure),
        *((file.path, units.show_bytes(file.size_bytes), "there") for file in todo.same),
        *((path, "", "not of this model") for path in todo.extra),
    ]
    count, size = len(todo.send) + len(todo.other), units.show_bytes(todo.send_bytes)
    name = f"{order.wanted.model}@{order.wanted.version}"
    output.result(
        order.planned,
        f"would push {units.show_count(count, 'file')}, {size}, of {name} from {order.listing.ref} to {order.destination}",
    )
    if not output.json:
        output.table(["file", "size", "what"], rows, right=["size"])
        _warn(output, order)


def tell_done(output: Output, done: Pushed, *, endpoint: str | None) -> None:
    """The answer first: what is where."""
    if output.json:
        return  # its event was the last line
    name = f"{done.destination} has {done.model}@{done.version}"
    files, size = units.show_count(done.files, "file"), units.show_bytes(done.size_bytes)
    how = "all read back" if done.read_back == "full" else "checksums read back"
    if done.sent_files:
        rate = units.show_rate(done.sent_bytes / done.seconds)
        sent = units.show_bytes(done.sent_bytes)
        what = f"sent {sent} in {units.show_seconds(done.seconds)} ({rate})"
    else:
        what = "nothing was sent: all of it was there"
    output.result(done, f"{name}: {files}, {size}, {how}\n{what}\nmanifest: {done.manifest}")
    option = f" --endpoint {endpoint}" if endpoint else ""
    output.next(f"lading pull {done.destination} VOLUME{option}")


def _rows(what: str, entries: Sequence[Entry]) -> list[tuple[str, str, str]]:
    return [
        (entry.path, "unknown" if entry.size_bytes is None else units.show_bytes(entry.size_bytes), what)
        for entry in entries
    ]


def _warn(output: Output, order: flow.PushOrder) -> None:
    """Say what would keep it from being done."""
    try:
        order.require_free()
    except InvalidInput as error:
        output.say(f"{error.message}; {error.hint}")


def _ask(output: Output, order: flow.PushOrder, *, yes: bool) -> None:
    extra = order.todo.extra
    if extra:
        output.confirm(
            f"{units.show_count(len(extra), 'file')} will be removed from {order.destination}: "
            f"{beside.named(extra)}. Go on?",
            yes=yes,
        )
