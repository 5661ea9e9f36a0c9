"""Why kubelet does not make or start a container: what its pod refers to, what is mounted, what is to run."""

from lading.diagnosis import texts
from lading.diagnosis.finding import Finding
from lading.diagnosis.texts import Sign

#: A container that waits for these is on its way.
NORMAL = ("ContainerCreating", "PodInitializing")
#: Events of a pod that is not made.
EVENTS = ("FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox")
_STARTED_BY = "start the command again once it is there"

_REFERENCES = (
    Sign(r"couldn't find key (\S+) in Secret (?:[\w.-]+/)?([\w.-]+)", "secret-key-missing", "the Secret {1} has no key {0}", "add the key to the Secret, or name another Secret; `kubectl describe secret {1}` lists its keys"),
    Sign(r"references non-existent secret key: (\S+)", "secret-key-missing", "the Secret that is mounted has no key {0}", "add the key to the Secret"),
    Sign(r"secret \"(?:[\w.-]+/)?([\w.-]+)\" not found", "secret-missing", "there is no Secret {0} in the namespace", f"create it (`kubectl create secret generic {{0}} --from-env-file=FILE`) or name another; {_STARTED_BY}"),
    Sign(r"couldn't find key (\S+) in ConfigMap (?:[\w.-]+/)?([\w.-]+)", "config-map-key-missing", "the ConfigMap {1} has no key {0}", "add the key to the ConfigMap, or name another"),
    Sign(r"configmap references non-existent config key: (\S+)", "config-map-key-missing", "the ConfigMap that is mounted has no key {0}", "add the key to the ConfigMap"),
    Sign(r"configmap \"(?:[\w.-]+/)?([\w.-]+)\" not found", "config-map-missing", "there is no ConfigMap {0} in the namespace", f"create it (`kubectl create configmap {{0}} --from-file=ca.crt`) or name another; {_STARTED_BY}"),
)  # fmt: skip
_CONTAINER = (
    *_REFERENCES,
    Sign(r"runAsNonRoot and image will run as root|container's runAsUser breaks non-root policy", "runs-as-root", "the image runs as root, which our pods do not", "name an image made from the shipped Dockerfile with --image"),
    Sign(r"image has non-numeric user \(([^)]*)\)", "runs-as-root", "the image's user {0} has no number, so that nobody can tell that it is not root", "name an image made from the shipped Dockerfile with --image"),
    Sign(r"exec: \"?([^\": ]+)\"?: permission denied", "permission-denied", "{0} in the image may not be executed", "name an image made from the shipped Dockerfile with --image"),
    Sign(r"exec: \"?([^\": ]+)\"?:.*(?:no such file|not found in \$PATH)", "program-missing", "the image has no program {0}", "name an image made from the shipped Dockerfile with --image"),
    Sign(r"exec format error", "image-wrong-platform", "the image is made for another platform than the node", "name one for the node's platform with --image, or choose nodes with --node-selector kubernetes.io/arch=…"),
    Sign(r"failed to prepare subPath for volumeMount \"([^\"]+)\"", "mount-failed", "the subPath of the mount {0} cannot be used: it is no folder, or may not be made", "`lading ls` shows what there is on the claim", fatal=False),
)  # fmt: skip
_MADE = (
    *_REFERENCES,
    Sign(r"Multi-Attach error for volume \"([^\"]+)\".*?(?:used by pod\(s\) (.+)|$)", "claim-held", "the volume {0} is held on another node {1}", "stop the pod that holds it, or let a pull do so: `lading pull … --during-update scale`", fatal=False),
    Sign(r"driver name ([\w.-]+) not found in the list of registered CSI drivers", "csi-driver-missing", "the node does not have the storage driver {0}", "tell an administrator, or choose other nodes with --node-selector", fatal=False),
    Sign(r"permission denied|access denied", "mount-denied", "the storage does not let the node mount the volume", "tell an administrator: the export's rules or the driver's credentials", fatal=False),
    Sign(r"timed out waiting for the condition|unmounted volumes=|context deadline exceeded", "mount-slow", "the volume is not mounted yet", "with very many files a first change of their group takes minutes", fatal=False),
)  # fmt: skip


def refused(reason: str, message: str) -> Finding:
    """Why a container that was made is not run: *reason* and *message* of its state."""
    found = texts.first(_CONTAINER, message, "")
    if found is not None:
        return found
    sentence = f"the container does not start ({reason}): {message or 'no reason was given'}"
    return Finding(cause="unknown", sentence=sentence, remedy="", evidence=(f"{reason}: {message}",))


def held_up(reason: str, message: str) -> Finding:
    """Why the pod is not made: *reason* (one of `EVENTS`) and *message* of the event."""
    found = texts.first(_MADE, message, "")
    if found is not None:
        return found
    if reason == "FailedCreatePodSandBox":
        sentence = f"the node cannot make the pod's sandbox: {message}"
        return Finding(cause="sandbox-failed", sentence=sentence, remedy="the node tries again; an administrator sees more in kubelet's log", evidence=(message,))  # fmt: skip
    sentence = f"a volume of the pod cannot be mounted: {message}"
    return Finding(cause="mount-failed", sentence=sentence, remedy="`lading claim inspect pvc://CLAIM`; an administrator sees more in the driver's log", evidence=(message,))  # fmt: skip
