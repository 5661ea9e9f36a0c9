"""Everything that would keep a Job from its work, found before there is one: all at once, each with its remedy.

First what the API tells (rights, the claim, who holds it, Secrets, quota: the API server itself is asked by a dry run).
Then a pod like the Job's looks at the source from where the Job will run, and at the room there is for it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lading.cluster import access, kinds
from lading.cluster.access import Right
from lading.cluster.client import Cluster
from lading.errors import ClusterDenied
from lading.events import SourceListed
from lading.manifests import jobs
from lading.manifests.pods import ReadClaim
from lading.placement import admission, claim_checks, claims, holding, looking, mounts, problems, source_claims
from lading.placement import credentials as credentialing
from lading.placement import identity as identities
from lading.placement import update as updating
from lading.placement.holding import Holding
from lading.placement.mounts import Mount
from lading.placement.problems import Problem
from lading.placement.update import UpdatePlan
from lading.spec import ref as refs
from lading.spec import units
from lading.spec.command import ListSourceCommand, PullCommand, PushCommand
from lading.spec.credentials import CredentialChoice, Credentials
from lading.spec.placement import Placement

#: What a pull on a claim cannot do without; what else is read makes it better.
RIGHTS = (
    Right("create", kinds.JOB),
    Right("get", kinds.JOB),
    Right("list", kinds.JOB),
    Right("watch", kinds.JOB),
    Right("create", kinds.POD),
    Right("list", kinds.POD),
    Right("watch", kinds.POD),
    Right("delete", kinds.POD),
    Right("get", kinds.POD, sub="log"),
    Right("get", kinds.CLAIM),
)
#: What stands in the way of a pod as much as of a Job: with one of these none is started to look.
_BLOCKING = frozenset(
    {
        "right",
        "claim-missing",
        "source-unbound",
        "source-held",
        "claims-apart",
        "secret-missing",
        "secret-key",
        "service-account-missing",
        "ca-missing",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What was found.

    Attributes:
        placement: As asked, completed by what was found: fsGroup, and the node that a held claim asks for.
        listed: What the source has, seen from where the Job will run; None where it was not looked at.
        holding: Who holds the claim, and whether the pull has to wait for them.
        update: What is done around the pull.
        notes: What could not be found out, and what is worth knowing.
        source: The claim that it reads from, and how that is attached.
        ending: That the volume, and what is pulled onto it, will be deleted with the claim.
    """

    problems: tuple[Problem, ...]
    placement: Placement
    credentials: Credentials
    holding: Holding
    update: UpdatePlan
    listed: SourceListed | None = None
    notes: tuple[str, ...] = ()
    ending: str | None = None
    source: ReadClaim | None = None

    def require(self) -> None:
        """Nothing, if nothing is in the way.

        Raises:
            PreflightFailed: With all problems.
        """
        if self.problems:
            raise problems.failed(self.problems, "the Job cannot be started")


async def require_rights(cluster: Cluster) -> None:
    """Nothing, if all rights are there without which a pull onto a claim is not even begun.

    Raises:
        ClusterDenied: Those that are missing, with the rules that give them.
    """
    missing = await cluster.missing(RIGHTS)
    if missing:
        raise access.denied(missing, what="a pull onto a claim")


async def preflight(
    cluster: Cluster,
    command: PullCommand,
    claim: str,
    *,
    placement: Placement,
    credentials: CredentialChoice,
    look: bool = True,
    during_update: str | None = None,
    replace_old: bool = False,
    wait_s: float = 120,
) -> Preflight:
    """Look for all that would keep *command* from running on *claim* (in the cluster's namespace). Changes nothing.

    Args:
        cluster: In the claim's namespace.
        command: The pull.
        claim: Its name.
        placement: As it was asked for.
        credentials: As they were asked for.
        look: Also list the source and the volume from a pod with the claim mounted, read-only.
        during_update: ``scale``, ``recreate`` or ``same-node``: how a claim that is held elsewhere will be freed.
        replace_old: The versions that are there will make room.
        wait_s: How long the pod may take to start and to answer.

    Raises:
        InvalidInput: What was said of credentials contradicts itself.
        ClusterUnreachable: There is no cluster to ask.
    """
    found, (given, lacking), (held, notes), source = await asyncio.gather(
        claim_checks.check(cluster, claim),
        credentialing.gathered(cluster, refs.parse(command.source), credentials),
        _mounting(cluster, claim),
        source_claims.look(cluster, command.source_claim),
    )
    hold, update = Holding(), UpdatePlan(claim=claim)
    kept: tuple[Problem, ...] = ()
    ending = await claims.retain_note(cluster, found.claim) if found.claim is not None else None
    if found.claim is not None:
        freeing = "scale" if replace_old else during_update
        node = placement.node or (source.node if freeing == "scale" else None)
        hold = holding.holding(found.claim, held, node=node, during_update=freeing)
        hold = source_claims.together(hold, source, claim=claim, asked=placement.node)
        update, kept = await updating.planned(
            cluster, found.claim, during_update, model=command.model or command.source, replace_old=replace_old
        )
    placed, why = await _placed(cluster, placement, hold)
    tried = jobs.job(
        command,
        placed,
        claim=claim,
        namespace=cluster.namespace,
        model=command.model,
        credentials=given,
        source=source.claim,
    )
    answers = await admission.check(cluster, tried, placed, given)
    refusals = [] if _lacks_account(lacking) else answers.refusals
    known = (
        *found.problems,
        *source.problems,
        *lacking,
        *((hold.problem,) if hold.problem else ()),
        *kept,
        *refusals,
        *answers.lacking,
    )
    begun = Preflight(
        problems=known,
        placement=placed,
        credentials=given,
        holding=hold,
        update=update,
        notes=(*given.notes, *notes, *why),
        ending=ending,
        source=source.claim,
    )
    if not look:
        pinned = _pinned(hold, command.model, command.version) if replace_old and command.model else ()
        return replace(begun, problems=(*known, *pinned))
    if answers.refusals or any(one.code in _BLOCKING for one in known):
        return begun
    mounted = claim if found.claim is not None and not found.problems and hold.free else None
    return await _looked(cluster, begun, command, mounted, replace_old=replace_old, wait_s=wait_s)


async def before_push(
    cluster: Cluster, command: PushCommand, claim: str, *, placement: Placement, credentials: CredentialChoice
) -> Preflight:
    """Look for all that would keep *command* from reading *claim*, and its pod from the destination's credentials.

    Changes nothing, and starts no pod: what is published, and what the store lets it do, the Job finds out at once.
    """
    read, (given, lacking), (held, notes) = await asyncio.gather(
        source_claims.look(cluster, claim),
        credentialing.gathered(cluster, refs.parse(command.dest), credentials),
        _mounting(cluster, claim),
    )
    hold = source_claims.together(Holding(mounts=held), read, claim=claim, asked=placement.node)
    placed, why = await _placed(cluster, placement, hold)
    tried = jobs.job(command, placed, claim=claim, namespace=cluster.namespace, model=command.model, credentials=given)
    answers = await admission.check(cluster, tried, placed, given)
    refusals = [] if _lacks_account(lacking) else answers.refusals
    held_apart = (hold.problem,) if hold.problem else ()
    return Preflight(
        problems=(*read.problems, *lacking, *held_apart, *refusals, *answers.lacking),
        placement=placed,
        credentials=given,
        holding=hold,
        update=UpdatePlan(claim=claim),
        notes=(*given.notes, *notes, *why),
        source=read.claim,
    )


async def _mounting(cluster: Cluster, claim: str) -> tuple[tuple[Mount, ...], tuple[str, ...]]:
    try:
        return await mounts.mounting(cluster, claim), ()
    except ClusterDenied:
        return (), ("who mounts the claim may not be read with these rights",)


async def _placed(cluster: Cluster, placement: Placement, hold: Holding) -> tuple[Placement, tuple[str, ...]]:
    """*placement* completed: the volume's group, and the node and tolerations of the pod that is to be joined."""
    who = await identities.identity(cluster, hold.mounts, asked=placement.fs_group)
    placed = replace(placement, fs_group=who.fs_group, node=hold.node or placement.node)
    notes = (f"fsGroup {who.fs_group}: {who.because}",) if who.fs_group is not None else (f"fsGroup: {who.because}",)
    if hold.beside is None:
        return placed, notes
    beside = await cluster.find(kinds.POD, hold.beside)
    if beside is not None and not placement.tolerations:
        placed = replace(placed, tolerations=claim_checks.tolerations(beside))
    return placed, (*notes, f"on node {hold.node}, beside pod {hold.beside}, which holds the claim")


async def _looked(
    cluster: Cluster, begun: Preflight, command: PullCommand, mounted: str | None, *, replace_old: bool, wait_s: float
) -> Preflight:
    """*begun*, with what the source has and whether it fits on the claim, where that can be *mounted*."""
    pod = looking.pod(
        ListSourceCommand.before(command),
        namespace=cluster.namespace,
        claim=mounted,
        placement=begun.placement,
        credentials=begun.credentials,
        source=begun.source,
        deadline_s=int(wait_s) + 60,
    )
    seen = await looking.look(cluster, pod, wait_s=wait_s)
    if isinstance(seen, Problem):
        return replace(begun, problems=(*begun.problems, _explained(seen, begun.credentials)))
    unseen = () if mounted else ("the claim was not looked into: it is held, or cannot be mounted",)
    found = (
        *_writable(begun, seen, mounted),
        *_room(seen, mounted, replace_old=replace_old),
        *(_pinned(begun.holding, seen.model, seen.version) if replace_old else ()),
    )
    return replace(begun, listed=seen, problems=(*begun.problems, *found), notes=(*begun.notes, *unseen))


def _explained(problem: Problem, credentials: Credentials) -> Problem:
    """A source's own remedy is for who sits beside it; the pod's credentials come from a Secret."""
    if problem.code != "SourceDenied":
        return problem
    used = next((note for note in credentials.notes if note.startswith("credentials:")), None)
    hint = (
        f"{used.removeprefix('credentials: ')}: are they those of this store, and may they list it?"
        if used
        else _NO_CREDENTIALS
    )
    return replace(problem, hint=hint)


_NO_CREDENTIALS = (
    "the pod has no credentials: name them with --secret NAME, --connection NAME, --storage-key KEY or --service-account "
    "NAME; those of this machine are not passed on"
)


def _writable(begun: Preflight, listed: SourceListed, claim: str | None) -> tuple[Problem, ...]:
    """Where kubelet does not give the volume to the pod's group (NFS, a volume that is mounted already), modes decide."""
    if listed.writable is not False:
        return ()
    group = f"group {begun.placement.fs_group}" if begun.placement.fs_group is not None else "the group it is given"
    return (
        Problem(
            code="not-writable",
            message=f"the root of claim {claim} is not writable for {group}, which our pods run as",
            hint=f"name the group that owns it: --fs-group GROUP; or `lading claim repair-permissions pvc://{claim}`",
        ),
    )


def _room(listed: SourceListed, claim: str | None, *, replace_old: bool) -> tuple[Problem, ...]:
    """Whether what is to come fits into what is free."""
    need_bytes = listed.size_bytes - listed.kept_bytes
    if listed.unchanged or listed.free_bytes is None or need_bytes <= listed.free_bytes:
        return ()
    has = f"{listed.source} has {units.show_bytes(need_bytes)} to bring, the claim has {units.show_bytes(listed.free_bytes)} free"
    if replace_old and need_bytes <= listed.free_bytes + listed.replaceable_bytes:
        return ()
    if listed.published and need_bytes <= listed.free_bytes + listed.replaceable_bytes:
        old = units.show_bytes(listed.replaceable_bytes)
        hint = f"resize the claim; or give up the version that is there ({old}): --replace-old"
    else:
        hint = f"resize the claim, or `lading prune pvc://{claim}`"
    return (Problem(code="no-space", message=has, hint=hint),)


def _pinned(hold: Holding, model: str, version: str | None) -> tuple[Problem, ...]:
    """Servers that name an old version in their mount: removed, kubelet would give them an empty folder in its place.

    By the mounts alone: a claim that is held was not looked into.
    """
    stays = (f"{model}/current", f"{model}/{version}")
    return tuple(
        Problem(
            code="version-pinned",
            message=f"{holding.who(mount)} serves {path} by the version's name, and --replace-old removes it",
            hint=f"let it serve {model}/current, which follows",
        )
        for mount in hold.mounts
        for path in mount.sub_paths
        if path.startswith(f"{model}/") and path not in stays
    )


def _lacks_account(known: Sequence[Problem]) -> bool:
    """Whether the API server's refusal says again what was found before it was asked."""
    return any(one.code == "service-account-missing" for one in known)
