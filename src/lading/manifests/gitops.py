"""A Job of ours as files for Git: the Job with the account it runs as, to be applied by hand or by a sync.

The same pull gives the same text, whoever prints it: no name of a person, no node of the moment. The account's Role is
for whoever waits for the Job as that account, a pipeline say: our pods themselves have no token of the API.
"""

import copy
from collections.abc import Mapping
from typing import Any

from lading.manifests import ours
from lading.manifests.yaml import Notes, render

PRUNE = ("argocd.argoproj.io/sync-options", "Prune=false")
HOOK = {"argocd.argoproj.io/hook": "Sync", "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation"}
_RBAC = "rbac.authorization.k8s.io"


def render_job(job: Mapping[str, Any], *, command: str, argocd_hook: bool = False) -> str:
    """The YAML of *job* with its ServiceAccount, Role and RoleBinding.

    A Job that names a ServiceAccount keeps it: that one is the user's, and is not written.

    Args:
        job: As `jobs.job` makes it.
        command: The command line that it stands for, for the comment at the top.
        argocd_hook: Run at each sync of Argo CD; else it is an object like others, which a sync leaves alone.
    """
    made = _kept(job, argocd_hook=argocd_hook)
    spec = made["spec"]["template"]["spec"]
    given = spec.get("serviceAccountName")
    account = given or made["metadata"]["name"]
    spec["serviceAccountName"] = account
    followers = _followers(made, account)
    documents = [*([] if given else [_account(made)]), *followers, made]
    notes: list[Notes] = [{} for _ in documents]
    notes[-3] = {("rules",): "to wait for the Job and read its log as this account; its own pods have no token"}
    notes[-1] = _job_notes(made, argocd_hook=argocd_hook)
    return render(documents, head=_head(made, command, given, argocd_hook=argocd_hook), notes=notes)


def _kept(job: Mapping[str, Any], *, argocd_hook: bool) -> dict[str, Any]:
    """The Job without what holds for one person and one moment."""
    made: dict[str, Any] = copy.deepcopy(dict(job))
    spec = made["spec"]["template"]["spec"]
    # A Job that removes itself would be made again by the next sync.
    made["spec"].pop("ttlSecondsAfterFinished", None)
    # Which node holds the claim is a fact of now.
    spec.pop("affinity", None)
    for head in (made["metadata"], made["spec"]["template"]["metadata"]):
        head.get("annotations", {}).pop(ours.STARTED_BY, None)
    for container in spec["containers"]:
        container["env"] = [one for one in container["env"] if one["name"] != ours.STARTED_BY_VARIABLE]
    sync = HOOK if argocd_hook else dict([PRUNE])
    made["metadata"]["annotations"] = {**made["metadata"].get("annotations", {}), **sync}
    return made


def _account(job: Mapping[str, Any]) -> dict[str, Any]:
    head = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(job)}
    return {**head, "automountServiceAccountToken": False}


def _followers(job: Mapping[str, Any], account: str) -> list[dict[str, Any]]:
    name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
    rules = [
        {"apiGroups": ["batch"], "resources": ["jobs"], "resourceNames": [name], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]},
    ]
    role = {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": _metadata(job), "rules": rules}
    binding = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(job),
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }
    return [role, binding]


def _metadata(job: Mapping[str, Any]) -> dict[str, Any]:
    head = job["metadata"]
    return {"name": head["name"], "namespace": head["namespace"], "labels": dict(head["labels"])}


def _head(job: Mapping[str, Any], command: str, given: str | None, *, argocd_hook: bool) -> list[str]:
    name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
    secrets = sorted(
        {
            one["valueFrom"]["secretKeyRef"]["name"]
            for one in job["spec"]["template"]["spec"]["containers"][0]["env"]
            if "secretKeyRef" in one.get("valueFrom", {})
        }
    )
    lines = [command, "", "Applied twice it does nothing more: what the claim has is not pulled again."]
    if argocd_hook:
        lines.append("Argo CD runs it at each sync, and replaces the Job of the sync before.")
    else:
        lines.append(
            "Another source or version is a Job of another name. A Job cannot be changed: for another image, delete it first."
        )
    if secrets:
        lines.append(f"It reads the Secret {', '.join(secrets)}, which must be there; no secret is written here.")
    if given:
        lines.append(f"It runs as the ServiceAccount {given}, which must be there.")
    follow = f"lading jobs follow {name} -n {namespace}"
    return [*lines, "", "kubectl apply --server-side -f FILE", follow]


def _job_notes(job: Mapping[str, Any], *, argocd_hook: bool) -> dict[tuple[str | int, ...], str]:
    annotations = job["metadata"]["annotations"]
    notes: dict[tuple[str | int, ...], str] = {}
    if ours.COMMAND in annotations:
        notes["metadata", "annotations", ours.COMMAND] = "what it does; the image reads the same from its environment"
    if not argocd_hook:
        notes["metadata", "annotations", PRUNE[0]] = "a sync that no longer has this Job leaves it alone"
    container = ("spec", "template", "spec", "containers", 0)
    notes[*container, "resources"] = (
        "a pull takes 76 MB whatever the model's size; the rest is for pages on their way to the disk"
    )
    notes["spec", "podFailurePolicy"] = (
        f"exit code {ours.TRY_AGAIN} asks for another attempt, as a kill does; what ends with 1 to 4 would do so again"
    )
    return notes
