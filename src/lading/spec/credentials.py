"""How a pod of ours gets at a source: by the names of Secrets and their keys. No value of a Secret is ever in here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

#: Holds one connection of KServe's `storage-config`, whole, as JSON; `lading.wiring.pod` picks its fields inside the pod.
STORAGE_CONFIG_VARIABLE = "LADING_STORAGE_CONFIG"
#: ``false``: the store's certificate is not checked.
VERIFY_TLS_VARIABLE = "LADING_S3_VERIFY_TLS"
#: ``virtual``: the bucket is in the host name; ``path``: in the path.
ADDRESSING_VARIABLE = "LADING_S3_ADDRESSING"
#: ``true``: requests are not signed, whatever credentials there are.
ANONYMOUS_VARIABLE = "LADING_S3_ANONYMOUS"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialEnv:
    """One environment variable whose value a pod takes from a Secret.

    Attributes:
        optional: The pod starts without it where the Secret has no such key.
    """

    name: str
    secret: str
    key: str
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a pod needs to read a source.

    Attributes:
        env: From Secrets.
        plain: Variables that are no secret: endpoint, region, how TLS is checked.
        service_account: Run as this one; its token is mounted only if *token*.
        ca_config_map: ConfigMap with certificates to trust, under the key *ca_key*.
        notes: Sentences for the user: what was taken from where.
    """

    env: tuple[CredentialEnv, ...] = ()
    plain: Mapping[str, str] = field(default_factory=dict)
    service_account: str | None = None
    token: bool = False
    ca_config_map: str | None = None
    ca_key: str = "ca.crt"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialChoice:
    """What a user said of credentials; all None: what the pod finds by itself, else anonymous.

    Attributes:
        secret: A Secret with S3 keys, in any spelling in use.
        service_account: Its annotated Secrets (KServe), or the cloud identity bound to it.
        storage_key: A key of *storage_secret*, as in `storage: {key: …}` of an InferenceService; "" its default one.
        connection: An OpenShift AI data connection.
        token_secret: A Secret with a Hugging Face token.
    """

    secret: str | None = None
    service_account: str | None = None
    storage_key: str | None = None
    storage_secret: str = "storage-config"  # noqa: S105 - its name
    connection: str | None = None
    token_secret: str | None = None
