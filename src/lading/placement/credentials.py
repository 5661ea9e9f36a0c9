"""From what users have (Secrets, ServiceAccounts, data connections) to the environment of our pod, by name only.

A Secret's values are dropped as soon as they arrive (`lading.placement.secrets`); what its keys mean is decided in
`lading.manifests.credentials`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.errors import ClusterDenied, InvalidInput, PreflightFailed
from lading.manifests import credentials as deciding
from lading.manifests.credentials import Lacking, Seen
from lading.placement import secrets
from lading.placement.problems import Problem
from lading.spec.credentials import STORAGE_CONFIG_VARIABLE, CredentialChoice, CredentialEnv, Credentials
from lading.spec.nearest import nearest
from lading.spec.ref import Reference, SourceRef

Decision = Callable[[Seen], Credentials | Lacking]
#: The schemes of sources, and what names their credentials.
_FOR = {"s3": ("--secret", "--storage-key", "--connection"), "hf": ("--secret", "--token-secret")}
_S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


async def credentials(cluster: Cluster, source: Reference, choice: CredentialChoice) -> Credentials:
    """What a pod in the cluster's namespace needs to read *source*.

    Raises:
        InvalidInput: The choice contradicts itself, or does not fit the source.
        PreflightFailed: A Secret, ServiceAccount or key is not there; what is there is named.
    """
    found, problems = await gathered(cluster, source, choice)
    if problems:
        raise PreflightFailed("the credentials cannot be used", problems=[one.shown for one in problems])
    return found


async def gathered(
    cluster: Cluster, source: Reference, choice: CredentialChoice
) -> tuple[Credentials, tuple[Problem, ...]]:
    """As `credentials`, with what is in the way beside it.

    Raises:
        InvalidInput: The choice contradicts itself, or does not fit the source.
    """
    scheme = source.scheme if isinstance(source, SourceRef) else ""
    check(choice, scheme, source)
    bucket = source.location.partition("/")[0] if isinstance(source, SourceRef) else None
    account = await _account(cluster, choice, bucket) if choice.service_account else (Credentials(), ())
    named = await _named(cluster, choice, bucket, hub=scheme == "hf")
    beside = [one for one in account[1] if named[0] is None or one.code == "service-account-missing"]
    return _joined(named[0] or account[0], account[0]), (*named[1], *beside)


def check(choice: CredentialChoice, scheme: str, source: Reference) -> None:
    """That what was said fits together.

    Raises:
        InvalidInput: It does not.
    """
    given = {
        "--secret": choice.secret, "--storage-key": choice.storage_key, "--connection": choice.connection,
        "--token-secret": choice.token_secret,
    }  # fmt: skip
    said = [flag for flag, value in given.items() if value is not None]
    if len(said) > 1:
        raise InvalidInput(f"{' and '.join(said)} are two ways to say the same", hint=f"leave {said[1]} out")
    fitting = [name for name, flags in _FOR.items() if not said or said[0] in flags]
    if said and scheme not in fitting:
        schemes = " and ".join(f"{name}://" for name in fitting)
        raise InvalidInput(f"{said[0]} is for {schemes} sources; {_shown(source)} is none", hint="leave it out")


async def _named(
    cluster: Cluster, choice: CredentialChoice, bucket: str | None, *, hub: bool
) -> tuple[Credentials | None, tuple[Problem, ...]]:
    """By the Secret that was named, in one of its three forms; None where none was."""
    if choice.storage_key is not None:
        key = choice.storage_key

        def stored(seen: Seen) -> Credentials | Lacking:
            return deciding.storage(seen, key, bucket=bucket)

        return await _from(cluster, choice.storage_secret, stored, unseen=lambda name: _stored_unseen(name, key))
    if choice.connection is not None:
        name = await _connection(cluster, choice.connection)
        return await _from(cluster, name, lambda seen: deciding.connection(seen, bucket=bucket))
    if hub and (token := choice.token_secret or choice.secret) is not None:
        return await _from(cluster, token, deciding.token, unseen=deciding.unseen_token, keys=("HF_TOKEN",))
    if choice.secret is not None:
        return await _from(cluster, choice.secret, lambda seen: deciding.s3(seen, bucket=bucket))
    return None, ()


async def _from(
    cluster: Cluster,
    name: str,
    decide: Decision,
    *,
    unseen: Callable[[str], Credentials] = deciding.unseen,
    keys: Sequence[str] = _S3_KEYS,
) -> tuple[Credentials, tuple[Problem, ...]]:
    """What *decide* makes of the Secret called *name*."""
    try:
        found = await cluster.find(kinds.SECRET, name)
    except ClusterDenied:
        return unseen(name), ()
    if found is None:
        return Credentials(), (await _absent(cluster, name, keys),)
    made = decide(secrets.seen(found))
    if isinstance(made, Lacking):
        return Credentials(), (Problem(code="secret-key", message=made.message, hint=made.hint),)
    return made, ()


async def _absent(cluster: Cluster, name: str, keys: Sequence[str]) -> Problem:
    try:
        others = [one["metadata"]["name"] for one in await cluster.list(kinds.SECRET)]
    except ClusterDenied:
        others = []
    near = nearest(name, others)
    return Problem(
        code="secret-missing",
        message=f"there is no Secret {name} in {cluster.namespace}",
        hint=f"did you mean {near}?" if near else f"make it: kubectl -n {cluster.namespace} create secret generic {name} "
        + " ".join(f"--from-literal={key}=…" for key in keys),
    )  # fmt: skip


async def _connection(cluster: Cluster, name: str) -> str:
    """The Secret of a data connection, which people know by the name that the dashboard shows."""
    try:
        if await cluster.find(kinds.SECRET, name) is not None:
            return name
        listed = await cluster.list(kinds.SECRET, labels=f"{deciding.CONNECTION_LABEL}=true")
    except ClusterDenied:
        return name
    shown = {_annotations(one).get(deciding.DISPLAY_NAME): one["metadata"]["name"] for one in listed}
    return str(shown.get(name) or name)


async def _account(
    cluster: Cluster, choice: CredentialChoice, bucket: str | None
) -> tuple[Credentials, tuple[Problem, ...]]:
    """By a ServiceAccount: the identity it is bound to, or the first of its Secrets that is for S3."""
    name = choice.service_account
    assert name is not None
    try:
        account = await cluster.find(kinds.SERVICE_ACCOUNT, name)
    except ClusterDenied:
        return Credentials(service_account=name, notes=(f"ServiceAccount {name} may not be read by you",)), ()
    if account is None:
        problem = Problem(
            code="service-account-missing",
            message=f"there is no ServiceAccount {name} in {cluster.namespace}",
            hint=f"kubectl -n {cluster.namespace} create serviceaccount {name}",
        )
        return Credentials(), (problem,)
    bound = next((key for key in deciding.IDENTITIES if key in _annotations(account)), None)
    if bound is not None:
        note = f"credentials: the identity bound to ServiceAccount {name} ({bound})"
        plain = deciding.settings(_annotations(account))
        return Credentials(service_account=name, token=True, plain=plain, notes=(note,)), ()
    found, problems = await _of_account(cluster, account, bucket)
    return replace(found, service_account=name), problems


async def _of_account(cluster: Cluster, account: Object, bucket: str | None) -> tuple[Credentials, tuple[Problem, ...]]:
    named = [str(one.get("name")) for one in account.get("secrets") or ()]
    for name in named:
        try:
            found = await cluster.find(kinds.SECRET, name)
        except ClusterDenied:
            return deciding.unseen(name), ()
        if found is not None and deciding.has_s3(seen := secrets.seen(found)):
            made = deciding.s3(seen, bucket=bucket)
            if isinstance(made, Lacking):
                return Credentials(), (Problem(code="secret-key", message=made.message, hint=made.hint),)
            return made, ()
    return Credentials(), ()


def _joined(named: Credentials, account: Credentials) -> Credentials:
    """A named Secret's credentials, run as the ServiceAccount that was named with it."""
    return replace(named, service_account=account.service_account, token=account.token)


def _stored_unseen(secret: str, key: str) -> Credentials:
    return Credentials(
        env=(CredentialEnv(name=STORAGE_CONFIG_VARIABLE, secret=secret, key=key or "default_s3", optional=True),),
        notes=(f"Secret {secret} may not be read by you: its keys were not checked",),
    )


def _annotations(thing: Object) -> dict[str, str]:
    return dict(thing["metadata"].get("annotations") or {})


def _shown(source: Reference) -> str:
    return source.shown if isinstance(source, SourceRef) else str(source)


def names(credentials: Credentials) -> Sequence[str]:
    """The Secrets that a pod with *credentials* needs, each once."""
    return tuple(dict.fromkeys(entry.secret for entry in credentials.env))
