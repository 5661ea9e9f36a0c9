"""What a Secret's key names say of how a pod reads an object store. Decides; never holds a Secret's value.

Three conventions are known, and are all read from key names and annotations alone: KServe's annotated Secret, KServe's
`storage-config` with one JSON per connection, and OpenShift AI's data connection. A pod is given the variables under
the names of their convention; `lading.wiring.pod` makes one of them, inside the pod.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lading.spec.credentials import STORAGE_CONFIG_VARIABLE, CredentialEnv, Credentials
from lading.spec.nearest import nearest

KSERVE = "serving.kserve.io/"
CONNECTION_LABEL = "opendatahub.io/dashboard"
CONNECTION_TYPES = ("opendatahub.io/connection-type-protocol", "opendatahub.io/connection-type", "opendatahub.io/connection-type-ref")  # fmt: skip
DISPLAY_NAME = "openshift.io/display-name"
#: Annotations of a ServiceAccount that bind it to an identity of a cloud.
IDENTITIES = ("eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account", "azure.workload.identity/client-id")

#: Spellings of a key, letters and digits alone, the most usual first.
_ID = ("awsaccesskeyid", "accesskeyid", "accesskey", "minioaccesskey", "miniorootuser", "rootuser")
_SECRET = ("awssecretaccesskey", "secretaccesskey", "secretkey", "miniosecretkey", "miniorootpassword", "rootpassword")
_SESSION = ("awssessiontoken", "sessiontoken")
_TOKEN = ("hftoken", "token", "huggingfacehubtoken", "huggingfacetoken", "hfapitoken")
#: Data keys that are settings, given to the pod under their own names.
SETTINGS = (
    "S3_ENDPOINT", "AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "S3_USE_HTTPS", "S3_VERIFY_SSL",
    "AWS_DEFAULT_REGION", "AWS_REGION", "S3_USER_VIRTUAL_BUCKET", "awsAnonymousCredential",
)  # fmt: skip
#: Annotations of KServe's Secret, and the variable that says the same in a pod.
_ANNOTATIONS = {
    f"{KSERVE}s3-endpoint": "S3_ENDPOINT",
    f"{KSERVE}s3-usehttps": "S3_USE_HTTPS",
    f"{KSERVE}s3-verifyssl": "S3_VERIFY_SSL",
    f"{KSERVE}s3-region": "AWS_DEFAULT_REGION",
    f"{KSERVE}s3-usevirtualbucket": "S3_USER_VIRTUAL_BUCKET",
    f"{KSERVE}s3-useanoncredential": "awsAnonymousCredential",
}
_CA_CONFIG_MAP = f"{KSERVE}s3-cabundle-configmap"
_CA_FILE = f"{KSERVE}s3-cabundle"
_CA_KEY = "cabundle.crt"
#: Data keys whose values are read here: no secrets, and needed to place the pod.
READ = ("AWS_CA_BUNDLE_CONFIGMAP", "AWS_CA_BUNDLE", "AWS_S3_BUCKET", "awsAnonymousCredential")
#: Fields of a connection in `storage-config` whose values are read here.
CONNECTION_READ = ("type", "bucket", "cabundle_configmap", "ca_bundle", "anonymous")
#: How KServe writes them; a Secret that may not be read is tried for all.
_ID_NAMES = ("AWS_ACCESS_KEY_ID", "awsAccessKeyID", "AWS_SECRET_ACCESS_KEY", "awsSecretAccessKey")
_LOGIN = re.compile(r"//[^/]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A Secret without its values.

    Attributes:
        keys: The names of its data, sorted.
        read: The values of those keys of `READ` that it has.
        connections: By key, for values that are a JSON object: its field names, and the values of `CONNECTION_READ`.
    """

    name: str
    keys: tuple[str, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    read: Mapping[str, str] = field(default_factory=dict)
    connections: Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """Why a Secret cannot be used: a fact, and what to do about it."""

    message: str
    hint: str | None = None


def s3(seen: Seen, *, bucket: str | None = None) -> Credentials | Lacking:
    """The credentials in a Secret of S3 keys, in any spelling; annotations win over data, as in KServe."""
    plain = settings(seen.annotations)
    if any(_LOGIN.search(f"//{value}" if "//" not in value else value) for value in plain.values()):
        return Lacking(message=f"the endpoint in the annotations of Secret {seen.name} has a user or password in it")
    kept = [key for key in SETTINGS if key in seen.keys and key not in plain]
    anonymous = _true(plain.get("awsAnonymousCredential") or seen.read.get("awsAnonymousCredential"))
    identity = [] if anonymous else _pair(seen)
    if isinstance(identity, Lacking):
        return identity
    config_map, key = _authority(seen)
    return Credentials(
        env=(*identity, *(CredentialEnv(name=key, secret=seen.name, key=key) for key in kept)),
        plain=plain,
        ca_config_map=config_map,
        ca_key=key,
        notes=(*_used(seen, identity), *_bucket_note(f"Secret {seen.name}", seen.read.get("AWS_S3_BUCKET"), bucket)),
    )


def settings(annotations: Mapping[str, str]) -> dict[str, str]:
    """What KServe's annotations say, by the variables that say it in a pod."""
    return {name: annotations[key] for key, name in _ANNOTATIONS.items() if key in annotations}


def has_s3(seen: Seen) -> bool:
    """Whether a Secret is meant for S3, complete or not: one of a ServiceAccount's may be for something else."""
    told = any(key in seen.annotations for key in _ANNOTATIONS)
    return told or _spelt(seen.keys, _ID) is not None or _spelt(seen.keys, _SECRET[:2]) is not None


def connection(seen: Seen, *, bucket: str | None = None) -> Credentials | Lacking:
    """The credentials of an OpenShift AI data connection."""
    kinds = [seen.annotations[key] for key in CONNECTION_TYPES if key in seen.annotations]
    if kinds and "s3" not in kinds:
        return Lacking(
            message=f"connection {seen.name} is of type {kinds[0]}, not s3",
            hint="name a connection to an object store with --connection",
        )
    return s3(seen, bucket=bucket)


def storage(seen: Seen, key: str, *, bucket: str | None = None) -> Credentials | Lacking:
    """The credentials under *key* ("": the default one) of a `storage-config` Secret."""
    chosen = next((name for name in ([key] if key else ["default_s3", "default"]) if name in seen.keys), None)
    if chosen is None:
        return _no_key(seen, key)
    if chosen not in seen.connections:
        return Lacking(message=f"key {chosen} of Secret {seen.name} is no JSON object", hint=_FORM)
    fields, read = seen.connections[chosen]
    where = f"key {chosen} of Secret {seen.name}"
    if read.get("type", "s3") != "s3":
        return Lacking(message=f"{where} is a connection of type {read['type']}, not s3")
    missing = [name for name in ("access_key_id", "secret_access_key") if name not in fields]
    if missing and not _true(read.get("anonymous")):
        return Lacking(message=f"{where} has no {' and no '.join(missing)}; its fields: {_list(fields)}", hint=_FORM)
    return Credentials(
        env=(CredentialEnv(name=STORAGE_CONFIG_VARIABLE, secret=seen.name, key=chosen),),
        ca_config_map=read.get("cabundle_configmap") or None,
        ca_key=_file(read.get("ca_bundle")),
        notes=(f"credentials: {where}", *_bucket_note(where, read.get("bucket"), bucket)),
    )


def token(seen: Seen) -> Credentials | Lacking:
    """A Hugging Face token."""
    key = _spelt(seen.keys, _TOKEN)
    if key is None:
        return Lacking(
            message=f"Secret {seen.name} has no token (HF_TOKEN); its keys: {_list(seen.keys)}", hint=_near("HF_TOKEN", seen)
        )  # fmt: skip
    return Credentials(
        env=(CredentialEnv(name="HF_TOKEN", secret=seen.name, key=key),),
        notes=(f"token: key {key} of Secret {seen.name}",),
    )


def unseen(secret: str) -> Credentials:
    """All that a Secret of S3 keys may have, for one that may be used but not read: what it has not is left out."""
    names = (*_ID_NAMES, "AWS_SESSION_TOKEN", *SETTINGS)
    return Credentials(
        env=tuple(CredentialEnv(name=name, secret=secret, key=name, optional=True) for name in names),
        notes=(f"Secret {secret} may not be read by you: which keys it has was not checked",),
    )


def unseen_token(secret: str) -> Credentials:
    """A Hugging Face token under the name that it has by custom, of a Secret that may be used but not read."""
    return Credentials(
        env=(CredentialEnv(name="HF_TOKEN", secret=secret, key="HF_TOKEN", optional=True),),
        notes=(f"Secret {secret} may not be read by you: whether it has the key HF_TOKEN was not checked",),
    )


def _pair(seen: Seen) -> list[CredentialEnv] | Lacking:
    """The access key, its secret, and a session's token where there is one."""
    found = {
        "AWS_ACCESS_KEY_ID": _spelt(seen.keys, _ID),
        "AWS_SECRET_ACCESS_KEY": _spelt(seen.keys, _SECRET),
    }
    missing = [name for name, key in found.items() if key is None]
    if missing:
        return Lacking(
            message=f"Secret {seen.name} has no {' and no '.join(missing)}; its keys: {_list(seen.keys)}",
            hint=_near(missing[0], seen, besides=[key for key in found.values() if key]),
        )
    found["AWS_SESSION_TOKEN"] = _spelt(seen.keys, _SESSION)
    return [CredentialEnv(name=name, secret=seen.name, key=key) for name, key in found.items() if key]


def _spelt(keys: Iterable[str], spellings: Sequence[str]) -> str | None:
    """The key that is written like one of *spellings*, the earliest of these first."""
    by_letters = {re.sub(r"[^a-z0-9]", "", key.lower()): key for key in sorted(keys)}
    return next((by_letters[one] for one in spellings if one in by_letters), None)


def _authority(seen: Seen) -> tuple[str | None, str]:
    """The ConfigMap of certificates, and its key: the file's name in KServe's path to it."""
    name = seen.annotations.get(_CA_CONFIG_MAP) or seen.read.get("AWS_CA_BUNDLE_CONFIGMAP")
    return name or None, _file(seen.annotations.get(_CA_FILE) or seen.read.get("AWS_CA_BUNDLE"))


def _file(path: str | None) -> str:
    return path.rpartition("/")[2] if path else _CA_KEY


def _no_key(seen: Seen, key: str) -> Lacking:
    if not key:
        return Lacking(
            message=f"Secret {seen.name} has no default connection (default_s3 or default); its keys: {_list(seen.keys)}",
            hint="name one with --storage-key",
        )
    near = nearest(key, list(seen.keys))
    return Lacking(
        message=f"Secret {seen.name} has no key {key}; its keys: {_list(seen.keys)}",
        hint=f"did you mean --storage-key {near}?" if near else "name one of these with --storage-key",
    )


def _near(wanted: str, seen: Seen, *, besides: Sequence[str] = ()) -> str:
    near = nearest(wanted, [key for key in seen.keys if key not in besides])
    if near:
        return f"is {near} meant to be it? It has to be called {wanted}"
    return f"add {wanted} to the Secret, or name another one"


def _used(seen: Seen, identity: Sequence[CredentialEnv]) -> tuple[str, ...]:
    keys = ", ".join(entry.key for entry in identity)
    return (f"credentials: {keys} of Secret {seen.name}",) if keys else (f"anonymous, as Secret {seen.name} says",)


def _bucket_note(where: str, named: str | None, bucket: str | None) -> tuple[str, ...]:
    if not named or not bucket or named == bucket:
        return ()
    return (f"{where} is for bucket {named}, the source is in {bucket}",)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _true(text: str | None) -> bool:
    return (text or "").strip().lower() in {"true", "1", "yes"}


_FORM = 'its form: {"type": "s3", "access_key_id": …, "secret_access_key": …, "endpoint_url": …, "region": …}'
