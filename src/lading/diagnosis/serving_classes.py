"""Every class of failure of a service: what it means, what mends it, whether waiting can. The page of the docs is made of it.

Other diagnoses speak to somebody who pulls; the remedies here are those of who serves. An empty remedy keeps the one that
the evidence gave, because it names what is missing.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lading.diagnosis.finding import Finding


@dataclass(frozen=True, slots=True)
class FailureClass:
    """One class.

    Attributes:
        meaning: What it is, for the docs.
        remedy: What mends it; ``{name}``, ``{namespace}``, ``{claim}``, ``{path}`` are filled in. Empty: the finding's own.
        waits: Whether waiting longer can help; None: the evidence decides.
    """

    meaning: str
    remedy: str = ""
    waits: bool | None = False


_IMAGE = "name an image that the nodes can pull: --image IMAGE"
_SECRET = (
    "`kubectl -n {namespace} create secret docker-registry NAME --docker-server=… --docker-username=…`, then give it to the "  # noqa: S105
    'service account: `kubectl -n {namespace} patch serviceaccount default -p \'{"imagePullSecrets":[{"name":"NAME"}]}\'`'
)
_RESOURCES = (
    "ask for less (--resources, --gpus), or wait until something else ends; `kubectl describe nodes` shows what is free"
)
_NODE = "correct --node-selector: `kubectl get nodes --show-labels`"
_TAINT = "--toleration KEY[=VALUE][:EFFECT] lets it run on tainted nodes: `kubectl describe node` names the taints"
_FILES = "`lading ls pvc://{claim} --namespace {namespace}` shows the models there; serve one of them"
_VERIFY = "`lading verify pvc://{claim}/{path} --namespace {namespace}` compares it with its manifest; pull it again"
_ADMIN = "tell an administrator: "
_CLAIM = "`lading claim inspect pvc://{claim} --namespace {namespace}` says why"
_LOG = "`kubectl -n {namespace} logs {pod} --previous` has its last words"

CLASSES: Mapping[str, FailureClass] = {
    # the image
    "image-missing": FailureClass("The registry has no such image or tag.", _IMAGE),
    "image-denied": FailureClass("The registry wants credentials that the pod does not have.", _SECRET),
    "image-absent": FailureClass("The image is not on the node, and its pull policy is Never.", _IMAGE),
    "image-name-invalid": FailureClass("What is given cannot be the name of an image.", "write it as REGISTRY/NAME:TAG, lower case, in --image"),
    "image-wrong-platform": FailureClass("The image is made for another processor than the node's.", "name one for it with --image, or choose nodes: --node-selector kubernetes.io/arch=…"),
    "image-not-pullable": FailureClass("The image does not come, and nothing known says why.", _IMAGE, waits=None),
    "registry-unreachable": FailureClass("The node does not reach the registry; the first failure may pass.", _IMAGE, waits=None),
    "registry-not-trusted": FailureClass("The node does not trust the registry's certificate.", f"{_ADMIN}the nodes need the registry's CA; or {_IMAGE}"),
    "registry-busy": FailureClass("The registry allows no more pulls for now.", "", waits=True),
    "node-disk-full": FailureClass("The node has no room for the image.", "", waits=True),
    # no node
    "no-room-on-nodes": FailureClass("No node has the memory, CPUs or GPUs that are asked for; an autoscaler, or an old pod that ends, may make room.", _RESOURCES, waits=None),
    "node-full": FailureClass("Nodes have as many pods or volumes as they may.", "wait until something else ends, or add a node", waits=None),
    "node-cordoned": FailureClass("The nodes take no new pods.", "", waits=None),
    "node-tainted": FailureClass("The nodes are tainted, and the pod does not tolerate it.", _TAINT, waits=None),
    "node-pressure": FailureClass("The node runs out of disk, memory or process ids and takes no pods until it has recovered.", f"{_ADMIN}`kubectl describe node` shows the pressure; images and logs fill disks", waits=True),
    "no-node-matches": FailureClass("No node has the labels that are asked for.", _NODE, waits=None),
    "no-node-fits": FailureClass("Each node is unfit for a reason of its own.", "", waits=None),
    "unschedulable": FailureClass("The scheduler found no node, in words that are not known here.", "", waits=None),
    "scheduling-gated": FailureClass("A queue holds the pod back.", "", waits=True),
    # the claim
    "claim-missing": FailureClass("The namespace has no such claim; a service cannot use a claim of another namespace.", "`lading claim create {claim} --namespace {namespace} --size …` makes it; `kubectl -n {namespace} get pvc` lists what there is"),
    "claim-terminating": FailureClass("The claim is being deleted.", "use another claim; what is on this one goes with it if its volume's reclaim policy is Delete"),
    "claim-unbound": FailureClass("The claim has no volume yet.", _CLAIM, waits=True),
    "claim-held": FailureClass("Another pod, not of this service, has a claim that one pod or one node may use.", "stop the pod that holds it: `lading claim inspect pvc://{claim} --namespace {namespace}` names it", waits=None),
    "volume-elsewhere": FailureClass("The volume is on a node or in a zone that cannot run the pod.", "choose nodes where the volume is (`kubectl get pv -o wide`), or leave out --node-selector"),
    "no-volume-for-node": FailureClass("No volume that the claim may have is on a node that fits.", _CLAIM),
    "class-missing": FailureClass("The claim asks for a storage class that there is not.", ""),
    "no-default-class": FailureClass("The claim names no class, and the cluster has no default one.", ""),
    "no-volume": FailureClass("No volume fits the claim, and its class makes none.", ""),
    "volume-taken": FailureClass("The volume that the claim asks for belongs to another claim.", ""),
    "volume-mismatch": FailureClass("The volume that the claim asks for does not fit it.", ""),
    "volume-missing": FailureClass("The claim waits for a volume that is not there or not free.", "", waits=None),
    "volume-lost": FailureClass("The claim's volume is gone from the cluster.", ""),
    "access-mode-unsupported": FailureClass("The class has no volumes with the access mode that the claim asks for.", ""),
    "storage-exhausted": FailureClass("The storage behind the class is full.", "", waits=True),
    "provisioning": FailureClass("The claim waits for its volume.", "", waits=True),
    "provisioning-failed": FailureClass("No volume could be made; it is tried again.", "", waits=True),
    "waits-for-consumer": FailureClass("The claim gets its volume with the first pod.", "", waits=True),
    # mounts and configuration
    "mount-failed": FailureClass("A volume cannot be mounted.", f"`lading claim inspect pvc://{{claim}} --namespace {{namespace}}`; {_ADMIN}the driver's log says more", waits=None),
    "mount-denied": FailureClass("The storage does not let the node mount the volume.", ""),
    "mount-slow": FailureClass("The volume is not mounted yet.", "", waits=True),
    "model-path-unusable": FailureClass("The model's folder cannot be mounted: it is not there and may not be made, or it is a link that leads nowhere or out of the volume.", _FILES),
    "csi-driver-missing": FailureClass("The node does not have the storage driver.", f"{_ADMIN}the driver's pods do not run there; or choose other nodes with --node-selector", waits=None),
    "sandbox-failed": FailureClass("The node cannot make the pod's sandbox.", "", waits=True),
    "secret-missing": FailureClass("The pod names a Secret that there is not.", ""),
    "secret-key-missing": FailureClass("The Secret does not have the key.", ""),
    "config-map-missing": FailureClass("The pod names a ConfigMap that there is not.", ""),
    "config-map-key-missing": FailureClass("The ConfigMap does not have the key.", ""),
    "runs-as-root": FailureClass("The image runs as root, and the pod may not.", "name an image whose user is a number other than 0 with --image"),
    # the server
    "bad-argument": FailureClass("The server refuses its command line.", "correct the parameter (--set); `lading engines ENGINE` lists what it takes. Is the image of the version that the catalogue is of?"),
    "program-missing": FailureClass("The image does not have the program.", "name the engine's own image with --image"),
    "permission-denied": FailureClass("The server may not read the model or write where it wants to.", "`lading claim repair-permissions pvc://{claim} --namespace {namespace}` lets every user read it"),
    "out-of-memory": FailureClass("The container took more memory than its limit, or the engine found none.", "give it more (--resources memory=…), or have the engine take less (--set)"),
    "crash-loop": FailureClass("The server ends again and again, and nothing known says why.", _LOG),
    "ended": FailureClass("The server ended by itself, without an error.", f"a server must not end; {_LOG}"),
    "failed": FailureClass("The server ended once with an error; it is started again.", _LOG, waits=True),
    "killed": FailureClass("The server was killed, not for want of memory by the node's word.", _LOG, waits=True),
    "liveness-failing": FailureClass("The server does not answer its liveness probe and is restarted.", "a server that loads long needs a startup probe; `kubectl -n {namespace} describe pod {pod}` shows the probe"),
    "probe-failing": FailureClass("The server runs, and its probe fails.", f"does it listen on the port that the probe asks? {_LOG.replace(' --previous', '')}", waits=True),
    "empty-folder": FailureClass("The folder that was asked for was not on the claim: kubelet made an empty one, and KServe calls it ready.", _FILES),
    "model-not-found": FailureClass("The server finds no model where it looks.", _FILES),
    "model-not-a-folder": FailureClass("The path on the claim is a file, and is mounted as one.", "serve the folder that the file is in"),
    "model-ambiguous": FailureClass("The folder has several model files, and the server takes exactly one.", "keep one: give each a version of its own (`lading pull --include NAME`)"),
    "model-corrupt": FailureClass("The model's files are cut or not what their names say.", _VERIFY),
    "model-unsupported": FailureClass("The server does not know this architecture.", "name a newer image with --image"),
    "unsupported-gpu": FailureClass("The engine does not fit the GPU or its driver.", ""),
    "gpu-occupied": FailureClass("Something else holds memory of the GPU.", "", waits=True),
    "no-gpu": FailureClass("The server finds no GPU in its container.", "--gpus 1 asks for one"),
    "port-in-use": FailureClass("The server's port is taken inside its pod.", ""),
    # taken away
    "evicted": FailureClass("The node took the pod away for want of disk or memory; another one is made.", "see what filled the node: `kubectl describe node`; pods that request what they use (--resources) are evicted last", waits=True),
    "preempted": FailureClass("A pod of higher priority took its place.", "wait for room, or give it a priority class", waits=True),
    "drained": FailureClass("The node is being drained; the pod starts on another.", "nothing is wrong: it starts on another node", waits=True),
    "node-lost": FailureClass("The node is gone; the pod starts on another.", "nothing is wrong: it starts on another node", waits=True),
    "node-shutdown": FailureClass("The node shuts down.", "it starts on another node", waits=True),
    "node-refused": FailureClass("The node had no room left for the pod.", "", waits=True),
    "deadline-exceeded": FailureClass("The pod was stopped at its deadline.", "a server's pod has no activeDeadlineSeconds: who set it?"),
    "pod-terminating": FailureClass("The pod is being removed.", "", waits=True),
    # refused
    "quota-exceeded": FailureClass("The namespace's quota has no room for the pod.", "ask for less (--resources), stop something (`lading serve --list`), or have the quota raised", waits=None),
    "quota-needs-limits": FailureClass("The quota wants the pod to say what it requests.", "--resources cpu=… --resources memory=… says it"),
    "limit-range": FailureClass("A LimitRange of the namespace refuses the pod.", ""),
    "pod-security": FailureClass("The namespace's pod security refuses the pod.", "what it lists goes into `securityContext:` of the runtime's container; or use a namespace with a wider level"),
    "scc-refused": FailureClass("OpenShift's security context constraints refuse the pod.", "--service-account names an account that may use a wider constraint"),
    "service-account-missing": FailureClass("The namespace has no such service account.", ""),
    "webhook-unreachable": FailureClass("A webhook of the cluster does not answer, so nothing is created until it does.", "", waits=True),
    "admission-denied": FailureClass("A policy or webhook of the cluster refuses the object.", ""),
    "priority-class-missing": FailureClass("The cluster has no such priority class.", ""),
    "object-invalid": FailureClass("The API server refuses the object as invalid.", "correct the field that it names"),
    # controllers
    "rollout-stuck": FailureClass("The new pod needs what the old one still holds (a ReadWriteOncePod claim, the GPUs), and the rolling update lets none of them go. KServe stays Ready.", ""),
    "rollout-late": FailureClass("The Deployment passed its deadline, and nothing known says why.", "`kubectl -n {namespace} describe deployment,pods` shows all there is"),
    "not-reconciled": FailureClass("No controller has looked at the object.", ""),
    "kserve-stopped": FailureClass("The InferenceService has the annotation that stops it.", "`kubectl -n {namespace} annotate inferenceservices.serving.kserve.io {name} serving.kserve.io/stop-`"),
    "runtime-invalid": FailureClass("The runtime has no container that KServe knows.", ""),
    "runtime-missing": FailureClass("The runtime that is named is not there.", ""),
    "runtime-disabled": FailureClass("The runtime that is named is disabled.", "name another with --runtime, or have `spec.disabled` of it removed"),
    "runtime-unsupported": FailureClass("No runtime takes this format and protocol.", "name one with --runtime, or leave it out: one is made"),
    "storage-uri-invalid": FailureClass("KServe does not know the scheme of the storageUri.", "write it as pvc://CLAIM/FOLDER"),
    "reconcile-failed": FailureClass("KServe's controller cannot make what the service needs.", ""),
    "unknown": FailureClass("Something stands in the way that is not known here; the evidence is told.", "", waits=None),
}  # fmt: skip


def told(found: Finding, values: Mapping[str, str]) -> Finding:
    """*found* as who serves is told: remedy and patience of its class, *values* filled in. Own errors of ours stay as they are."""
    known = CLASSES.get(found.cause)
    if known is None:
        return found
    remedy = fill(known.remedy, values) if known.remedy else _placed(found.remedy, values.get("namespace", ""))
    return dataclasses.replace(found, remedy=remedy, fatal=found.fatal if known.waits is None else not known.waits)


def _placed(remedy: str, namespace: str) -> str:
    """*remedy* with *namespace* in its commands of kubectl on what is in one."""
    kinds = "create |get pvc|describe (?:limitrange|resourcequota|secret)"
    return re.sub(f"`kubectl (?={kinds})", f"`kubectl -n {namespace} ", remedy) if namespace else remedy


def fill(template: str, values: Mapping[str, str]) -> str:
    """*template* with *values* for its ``{name}``; braces of YAML and JSON stay."""
    return re.sub(r"\{([a-z]+)\}", lambda hole: values.get(hole[1], hole[0]), template)


def page() -> str:
    """The table of classes as Markdown, as the docs have it."""
    return "\n".join(_rows())


def _rows() -> Iterator[str]:
    yield "| Class | What it means | What mends it | Waiting |"
    yield "|---|---|---|---|"
    for cause, one in CLASSES.items():
        remedy = _capitals(one.remedy).replace("|", "\\|") or "the finding names it"
        waits = {True: "can help", False: "cannot help", None: "by the evidence"}[one.waits]
        yield f"| `{cause}` | {one.meaning} | {remedy} | {waits} |"


def _capitals(remedy: str) -> str:
    return fill(remedy, {key: key.upper() for key in ("name", "namespace", "claim", "path", "pod")})
