"""Options of commands that may work on a cluster: which one, and how our pods run there."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lading.errors import InvalidInput
from lading.spec.placement import Choice
from lading.spec.ref import ClaimRef, Reference

GROUP = "Cluster"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """Which cluster, and how pods of ours run there. For `pvc://` references only."""

    namespace: Annotated[str | None, Parameter(name=["--namespace", "-n"], group=GROUP)] = None
    """Namespace of the claim; the context's own by default."""
    context: Annotated[str | None, Parameter(group=GROUP)] = None
    """Context of the kubeconfig; its current one by default."""
    kubeconfig: Annotated[Path | None, Parameter(group=GROUP)] = None
    """Kubeconfig file; $KUBECONFIG, or ~/.kube/config, or the pod's own account by default."""
    image: Annotated[str | None, Parameter(group=GROUP)] = None
    """Image of our pods; $LADING_IMAGE, or the one of this version by default."""
    pull_secret: Annotated[tuple[str, ...], Parameter(group=GROUP)] = ()
    """Secret with credentials of the image's registry; may be repeated."""
    service_account: Annotated[str | None, Parameter(group=GROUP)] = None
    """ServiceAccount of our pods."""
    fs_group: Annotated[int | None, Parameter(group=GROUP)] = None
    """Group that owns the volume; found out by default."""
    node_selector: Annotated[tuple[str, ...], Parameter(group=GROUP)] = ()
    """Label a node must have, KEY=VALUE; may be repeated."""
    toleration: Annotated[tuple[str, ...], Parameter(group=GROUP)] = ()
    """Taint our pods tolerate, KEY[=VALUE][:EFFECT]; may be repeated."""
    ca_config_map: Annotated[str | None, Parameter(group=GROUP)] = None
    """ConfigMap whose key ca.crt our pods trust."""

    def choice(self) -> Choice:
        """As the rest of the program takes it."""
        return Choice(
            namespace=self.namespace,
            context=self.context,
            kubeconfig=self.kubeconfig,
            image=self.image,
            pull_secrets=self.pull_secret,
            service_account=self.service_account,
            fs_group=self.fs_group,
            node_selector=self.node_selector,
            tolerations=self.toleration,
            ca_config_map=self.ca_config_map,
        )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SourceCluster:
    """Where a claim that is pulled from is, when it is not in the cluster of the other options."""

    source_context: Annotated[str | None, Parameter(group=GROUP)] = None
    """For a SOURCE that is a claim of another cluster: its context."""
    source_kubeconfig: Annotated[Path | None, Parameter(group=GROUP)] = None
    """Its kubeconfig file; that of --kubeconfig by default."""

    def choice(self, here: Choice, source: Reference) -> Choice | None:
        """As the rest of the program takes it, for pods as *here*; None where nothing was said.

        Raises:
            InvalidInput: *source* is no claim.
        """
        if self == SourceCluster():
            return None
        if not isinstance(source, ClaimRef):
            raise InvalidInput("--source-context and --source-kubeconfig are for a SOURCE that is a claim")
        elsewhere = self.source_kubeconfig or here.kubeconfig
        return replace(here, kubeconfig=elsewhere, context=self.source_context, namespace=None, fs_group=None)


def chosen(where: Where | None) -> Choice:
    """What was said, also where nothing was."""
    return (where or Where()).choice()
