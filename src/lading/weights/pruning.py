"""Which versions may go: a pure decision, with the reason why each of the others stays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lading.spec import units
from lading.weights.layout import Leftover
from lading.weights.manifest import Manifest

LEASE_S = 900.0
"""An interrupted pull is left alone so long after its last step: a Job's next attempt comes within minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stays:
    """Something that is not removed, and why."""

    what: Manifest | Leftover
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a person asked for.

    Attributes:
        keep: So many of the newest versions of each model stay.
        older_than_s: What was published, or worked on, less long ago stays; None: as `keep` and the lease say.
    """

    keep: int
    older_than_s: float | None = None

    @property
    def lease_s(self) -> float:
        """How long an interrupted pull is left alone."""
        return LEASE_S if self.older_than_s is None else self.older_than_s


def versions(
    published: Sequence[Manifest],
    rule: Rule,
    *,
    currents: Mapping[str, str | None],
    users: Mapping[Manifest, str],
    now: datetime,
) -> tuple[tuple[Manifest, ...], tuple[Stays, ...]]:
    """What of *published* (by model, then by time) may go, and what stays; *users* are who may be loading which."""
    newest = {manifest for own in _by_model(published).values() for manifest in own[max(0, len(own) - rule.keep) :]}
    reasons = {
        manifest: _reason(manifest, rule, is_new=manifest in newest, currents=currents, users=users, now=now)
        for manifest in published
    }
    gone = tuple(manifest for manifest in published if reasons[manifest] is None)
    return gone, tuple(Stays(what=manifest, why=why) for manifest, why in reasons.items() if why is not None)


def leftovers(found: Sequence[Leftover], rule: Rule) -> tuple[tuple[Leftover, ...], tuple[Stays, ...]]:
    """What of an interrupted run may go, and what may still be gone on with."""
    young = [left for left in found if left.kind == "staging" and left.idle_s < rule.lease_s]
    stays = (
        Stays(
            what=left, why=f"it was worked on less than {units.show_seconds(rule.lease_s)} ago: run again, it goes on"
        )
        for left in young
    )
    return tuple(left for left in found if left not in young), tuple(stays)


def _reason(
    manifest: Manifest,
    rule: Rule,
    *,
    is_new: bool,
    currents: Mapping[str, str | None],
    users: Mapping[Manifest, str],
    now: datetime,
) -> str | None:
    """Why *manifest* stays; None: it may go."""
    if currents.get(manifest.model) == manifest.version:
        return "it is the current version"
    if manifest in users:
        return f"{users[manifest]} may be loading it"
    if manifest.is_adopted:
        return "it was adopted where it lies: removing it would free nothing"
    if is_new:
        return f"it is among the newest {rule.keep}" if rule.keep > 1 else "it is the newest"
    if rule.older_than_s is not None and _age(manifest, now) < timedelta(seconds=rule.older_than_s):
        return f"it was published less than {units.show_seconds(rule.older_than_s)} ago"
    return None


def _by_model(published: Sequence[Manifest]) -> dict[str, list[Manifest]]:
    found: dict[str, list[Manifest]] = {}
    for manifest in published:
        found.setdefault(manifest.model, []).append(manifest)
    return found


def _age(manifest: Manifest, now: datetime) -> timedelta:
    """How long ago it was published; a time that cannot be read is taken for now."""
    try:
        at = datetime.fromisoformat(manifest.published_at)
    except ValueError:
        return timedelta(0)
    return now - at if at.tzinfo is not None else timedelta(0)
