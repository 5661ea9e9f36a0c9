"""How pods of ours are placed and run on a cluster: what a user may say about them. Values only."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lading.errors import InvalidInput

_TOLERATION = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9./_-]*)(?:=([A-Za-z0-9._-]*))?(?::(NoSchedule|NoExecute|PreferNoSchedule))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a user said on the command line, unchecked; None where nothing was said.

    Attributes:
        node_selector: ``KEY=VALUE``.
        tolerations: ``KEY[=VALUE][:EFFECT]``.
    """

    namespace: str | None = None
    context: str | None = None
    kubeconfig: Path | None = None
    image: str | None = None
    pull_secrets: tuple[str, ...] = ()
    service_account: str | None = None
    fs_group: int | None = None
    node_selector: tuple[str, ...] = ()
    tolerations: tuple[str, ...] = ()
    ca_config_map: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Toleration:
    """One taint that our pods tolerate."""

    key: str
    value: str | None = None
    effect: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """How a pod of ours is run.

    Attributes:
        image: With tag or digest.
        pull_secrets: Names of Secrets with registry credentials.
        fs_group: Group that owns the volume; None: found out (`lading.placement.identity`).
        node: Run on this node (that of the pod which mounts the claim).
        proxies: ``HTTPS_PROXY`` and its kin, given to the pod.
        ca_config_map: ConfigMap whose key ``ca.crt`` the pod trusts for S3 and HTTP.
        resources: ``{"requests": …, "limits": …}``; None: what the engine was measured to need.
        labels: More labels of our pods.
    """

    image: str
    pull_secrets: tuple[str, ...] = ()
    service_account: str | None = None
    fs_group: int | None = None
    node: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    proxies: Mapping[str, str] = field(default_factory=dict)
    ca_config_map: str | None = None
    resources: Mapping[str, Mapping[str, str]] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


def tolerations(texts: Sequence[str]) -> tuple[Toleration, ...]:
    """``gpu=yes:NoSchedule`` and the like.

    Raises:
        InvalidInput: One is written otherwise.
    """
    made = []
    for text in texts:
        match = _TOLERATION.fullmatch(text)
        if match is None:
            raise InvalidInput(
                f"--toleration {text} is not KEY[=VALUE][:EFFECT]", hint="such as nvidia.com/gpu:NoSchedule"
            )
        made.append(Toleration(key=match[1], value=match[2], effect=match[3]))
    return tuple(made)


def node_selector(texts: Sequence[str]) -> dict[str, str]:
    """``zone=a`` and the like, as a mapping.

    Raises:
        InvalidInput: One has no ``=``.
    """
    bad = next((text for text in texts if "=" not in text), None)
    if bad is not None:
        raise InvalidInput(f"--node-selector {bad} is not KEY=VALUE")
    return dict(text.split("=", 1) for text in texts)
