"""From what a user said of a cluster to a connection, and to how our pods run there."""

import logging
import os
from collections.abc import Mapping

import lading
from lading.cluster import config
from lading.cluster.client import Cluster
from lading.spec import placement as placements
from lading.spec.placement import Choice, Placement

_LOG = logging.getLogger(__name__)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def cluster(choice: Choice) -> Cluster:
    """The cluster that *choice* names; to be entered.

    Raises:
        ClusterUnreachable: Nothing says where one is.
        InvalidDocument: The kubeconfig cannot be used.
    """
    found = config.connection(kubeconfig=choice.kubeconfig, context=choice.context, namespace=choice.namespace)
    for note in found.notes:
        _LOG.warning(note)
    return Cluster(found)


def namespace(choice: Choice) -> str:
    """Where names without a namespace are looked up.

    Raises:
        ClusterUnreachable, InvalidDocument: As `cluster`.
    """
    return config.connection(kubeconfig=choice.kubeconfig, context=choice.context, namespace=choice.namespace).namespace


def placement(choice: Choice) -> Placement:
    """How pods of ours run, by what was said and by the environment.

    Raises:
        InvalidInput: A selector or toleration is written wrongly.
    """
    return Placement(
        image=choice.image or default_image(),
        pull_secrets=choice.pull_secrets,
        service_account=choice.service_account,
        fs_group=choice.fs_group,
        node_selector=placements.node_selector(choice.node_selector),
        tolerations=placements.tolerations(choice.tolerations),
        proxies=_proxies(os.environ),
        ca_config_map=choice.ca_config_map,
    )


def default_image() -> str:
    """``$LADING_IMAGE``, else the image of this version."""
    return os.environ.get("LADING_IMAGE") or f"ghcr.io/lading-dev/lading:{lading.__version__}"


def _proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """The proxies that pods of ours are told to use: ``$LADING_POD_HTTPS_PROXY`` and its kin.

    This machine's own proxies are not a pod's.
    """
    given = {name: environment.get(f"LADING_POD_{name}") for name in _PROXIES}
    return {name: value for name, value in given.items() if value}
