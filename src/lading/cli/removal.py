"""`lading rm` and `prune`: what goes from a volume, said before it goes, and why the rest stays."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from lading.cli.output import Common, Output
from lading.cli.where import Where, chosen
from lading.errors import InvalidInput
from lading.spec import units
from lading.volume.find import Found
from lading.weights import layout, pruning
from lading.weights.layout import Leftover
from lading.weights.manifest import Manifest
from lading.wiring.volumes import model_of, opened

if TYPE_CHECKING:
    from lading.answers.weights import Removed
    from lading.placement.users import Users
    from lading.ports.volume import Volume


def rm(
    ref: str,
    *,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative=())] = False,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    where: Where | None = None,
    common: Common | None = None,
) -> None:
    """Remove a version, or a whole model, from a volume.

    Args:
        ref: A version, such as ./volume/tiny@v1, or a model: all its versions.
        yes: Do not ask.
        dry_run: Print what would be removed.
    """
    output = Output(common)
    with opened(ref, chosen(where), write=not dry_run) as found:
        removal = _removal(found, model_of(found, ref))
        pointing = _users(output, ref, removal.versions, where)
        for manifest, who in _pointed(pointing, removal.versions).items():
            output.say(f"{manifest.model}@{manifest.version} is what {who} may be loading")
        _carry_out(output, removal, dry_run=dry_run, yes=yes, volume=found.volume)


def prune(
    volume: str = ".",
    *,
    keep: Annotated[int, Parameter(validator=Number(gte=1))] = 3,
    older_than: Annotated[str | None, Parameter()] = None,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative=())] = False,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    where: Where | None = None,
    common: Common | None = None,
) -> None:
    """Remove old versions and what interrupted pulls left.

    A current version is never removed, nor, on a claim, one that a workload points to or a pod mounts, nor a pull that somebody
    runs or that was interrupted a moment ago. Why each stays is said. On a terminal it only says what it would do, until it is
    run with --yes.

    Args:
        volume: A volume, or a model on it.
        keep: How many of the newest versions of each model stay.
        older_than: What was published less long ago stays, too, such as 30d; and so does an interrupted pull (15m by default).
        yes: Do it.
        dry_run: Print what would be removed.
    """
    output = Output(common)
    rule = pruning.Rule(keep=keep, older_than_s=_seconds(older_than))
    only_looking = dry_run or (output.asks and not yes)
    with opened(volume, chosen(where), write=not only_looking) as found:
        if found.version:
            raise InvalidInput(f"{volume} names one version", hint=f"lading rm {volume}")
        removal, stays = _pruned(output, volume, found, rule, where)
        _tell_stays(output, stays, found.volume)
        _carry_out(output, removal, dry_run=only_looking, yes=yes, volume=found.volume, idle_s=rule.lease_s)
    if removal.versions or removal.leftovers:
        _tell_next(output, volume, keep, older_than, left=only_looking and not dry_run)


def _pruned(
    output: Output, text: str, found: Found, rule: pruning.Rule, where: Where | None
) -> "tuple[Removal, Sequence[pruning.Stays]]":
    """What goes and what stays, of a volume or of one model on it."""
    published = [one for one in found.volume.manifests() if found.model in {None, one.model}]
    users = _pointed(_users(output, text, published, where), published)
    currents = found.volume.currents(sorted({manifest.model for manifest in published}))
    versions, stays = pruning.versions(published, rule, currents=currents, users=users, now=datetime.now(UTC))
    leftovers, young = ((), ()) if found.model else pruning.leftovers(found.volume.leftovers(), rule)
    return Removal(versions=versions, leftovers=leftovers), (*stays, *young)


def _tell_stays(output: Output, stays: "Sequence[pruning.Stays]", volume: "Volume") -> None:
    from lading.answers.weights import Kept

    for one in stays:
        document = Kept.of(one.what, path=_where(volume, one.what), why=one.why)
        if output.json:
            output.result(document)
        else:
            output.say(f"{document.model}@{document.version} stays: {document.why}")


def _tell_next(output: Output, volume: str, keep: int, older_than: str | None, *, left: bool) -> None:
    if left:
        said = f" --older-than {older_than}" if older_than else ""
        output.say(f"nothing was removed; to do it: lading prune {volume} --keep {keep}{said} --yes")


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return units.parse_seconds(text)
    except ValueError as error:
        raise InvalidInput(f"--older-than: {error}", hint="such as 30d or 12h") from error


def _users(output: Output, text: str, versions: Sequence[Manifest], where: Where | None) -> "Users | None":
    """Who points into the claim that *text* names; what could not be looked at is said. None on a folder of this machine."""
    from lading.wiring import pointing

    found = pointing.users(text, chosen(where)) if versions else None
    for sentence in found.unknown if found else ():
        output.say(f"who loads what is not wholly known: {sentence}")
    return found


def _pointed(found: "Users | None", versions: Sequence[Manifest]) -> dict[Manifest, str]:
    """The versions that workloads of the claim's namespace point to, with whom."""
    from lading.wiring import pointing

    if found is None:
        return {}
    pointed = {manifest: pointing.into(found, manifest) for manifest in versions}
    return {manifest: pointing.told(who) for manifest, who in pointed.items() if who}


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What is to go: decided, shown, then done."""

    versions: tuple[Manifest, ...] = ()
    leftovers: tuple[Leftover, ...] = ()

    @property
    def size_bytes(self) -> int:
        """What it frees."""
        return sum(version.size_bytes for version in self.versions) + sum(left.size_bytes for left in self.leftovers)

    def sentence(self) -> str:
        """What it is, for people."""
        parts = [(len(self.versions), "version"), (len(self.leftovers), "leftover")]
        return (
            f"{' and '.join(units.show_count(*part) for part in parts if part[0])}, {units.show_bytes(self.size_bytes)}"
        )


def _removal(found: Found, model: str) -> Removal:
    """A version of *model*, or all, the current one last: it cannot go while others are left."""
    if found.version is not None:
        return Removal(versions=(found.volume.manifest(model, found.version),))
    versions = [manifest for manifest in found.volume.manifests() if manifest.model == model]
    if not versions:
        found.volume.manifest(model)  # raises, with the nearest name
    current = found.volume.current(model)
    return Removal(versions=tuple(sorted(versions, key=lambda manifest: manifest.version == current)))


def _carry_out(
    output: Output, removal: Removal, *, dry_run: bool, yes: bool, volume: "Volume", idle_s: float = 0.0
) -> None:
    from lading.answers.weights import Removed

    going: list[Manifest | Leftover] = [*removal.versions, *removal.leftovers]
    documents = [Removed.of(gone, path=_where(volume, gone), dry_run=dry_run) for gone in going]
    if not documents:
        output.result(Removed(dry_run=dry_run), "nothing to remove")
        return
    if dry_run:
        for document in documents:
            output.result(document, f"would remove {_line(document)}")
        return
    if not yes:
        for one in documents:
            output.say(f"  {one.model}@{one.version}  {one.removed}  {units.show_bytes(one.size_bytes)}")
    output.confirm(f"Remove {removal.sentence()} from {volume.shown}?", yes=yes)
    for manifest, document in zip(removal.versions, documents, strict=False):
        volume.remove(manifest.model, manifest.version)
        output.result(document, f"removed {_line(document)}")
    if removal.leftovers:
        gone = set(volume.sweep(idle_s=idle_s))
        for left, document in zip(removal.leftovers, documents[len(removal.versions) :], strict=True):
            if left.path in gone:
                output.result(document, f"removed {_line(document)}")


def _where(volume: "Volume", gone: Manifest | Leftover) -> str:
    """A version's path from the volume's root; a leftover's as a person names it."""
    if isinstance(gone, Manifest) or not gone.path.is_relative_to(volume.root):
        return str(gone.path)
    return layout.place(volume.shown, gone.path.relative_to(volume.root).as_posix())


def _line(gone: "Removed") -> str:
    what = {"staging": " (interrupted pull)", "removal": " (unfinished removal)"}.get(gone.removed or "", "")
    return f"{gone.model}@{gone.version}{what}, {units.show_bytes(gone.size_bytes)}"
