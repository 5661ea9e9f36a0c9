"""Services in trouble, made on a real cluster: what is applied, then changed, and of which class it is.

`LADING_GOLDEN=write pytest tests/diagnosis/test_serving_real.py` makes them all, keeps the objects under serving_data/ for
the tests without a cluster, and the messages under tests/golden/diagnosis.
"""

from dataclasses import dataclass

from tests.diagnosis.scenes import BASE, LIMITS, NODE, POLICY, QUOTA, claim, env, volume

SHARED = (QUOTA, LIMITS, NODE, *POLICY)
PORT = 8080
KSERVE = "serving.kserve.io"


@dataclass(frozen=True)
class Scene:
    """One service in trouble.

    Attributes:
        cause: The class that is to be found.
        fatal: That waiting cannot help.
        objects: Applied at once, in order; a name that is empty is the scene's.
        then: Applied once the first pod is ready.
        claim: The claim that holds the weights.
        path: The model's path on it.
        look: The running server is asked what it sees at the model's path.
        service: There is an InferenceService; its Deployment is KServe's.
        deployed: What is applied is a Deployment, or KServe makes one.
    """

    cause: str
    objects: tuple
    fatal: bool = True
    then: tuple = ()
    claim: str | None = None
    path: str = ""
    look: bool = False
    service: bool = False
    deployed: bool = True


def deployment(*command, image=BASE, spec=None, annotations=None, strategy="RollingUpdate", labels=None, **container):
    body = {"name": "server", "image": image, "imagePullPolicy": "IfNotPresent", **container}
    if command:
        body["command"] = [*command]
    template = {"terminationGracePeriodSeconds": 1, "containers": [body], **(spec or {})}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": ""},
        "spec": {
            "replicas": 1, "strategy": {"type": strategy}, "selector": {"matchLabels": {"app": "{scene}"}},
            "template": {"metadata": {"labels": {"app": "{scene}", **(labels or {})}, "annotations": annotations or {}}, "spec": template},
        },
    }  # fmt: skip


def python(program, **more):
    return deployment("python3", "-u", "-c", program, **more)


def weights(name="models", path="granite/v1"):
    """The rest of a pod that mounts the weights."""
    mount = {"name": "weights", "mountPath": "/mnt/models", "readOnly": True, "subPath": path}
    volume = {"name": "weights", "persistentVolumeClaim": {"claimName": name}}
    return {"spec": {"volumes": [volume]}, "volumeMounts": [mount]}


def probe(kind, port, **more):
    return {kind: {"tcpSocket": {"port": port}, "periodSeconds": 1, **more}}


def says(*lines, code):
    """A program that writes *lines* as its last words."""
    return f"import sys; print({chr(10).join(lines)!r}, file=sys.stderr); sys.exit({code})"


def asks(**requests):
    return {"resources": {"requests": requests, "limits": requests}}


SERVES = "import http.server, os, signal; signal.signal(signal.SIGTERM, lambda *_: os._exit(0)); http.server.ThreadingHTTPServer(('', 8080), http.server.SimpleHTTPRequestHandler).serve_forever()"
LISTS = "import os, time; print(os.listdir('/mnt/models')); time.sleep(600)"
WEBHOOK = {
    "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
    "metadata": {"name": "{namespace}"},
    "webhooks": [{
        "name": "pods.absent.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 1,
        "clientConfig": {"url": "https://127.0.0.1:9/validate"},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "{namespace}"}},
        "objectSelector": {"matchLabels": {"webhook": "absent"}},
    }],
}  # fmt: skip
GONE = (volume("gone", to="gone", path="/nowhere/at/all"), claim("gone", volume="{namespace}-gone"))

SCENES = {
    # ------------------------------------------------------------------------------------------------------ the image
    "image-missing": Scene("image-missing", (deployment(image="{registry}/missing/server:1"),)),
    "image-bad-tag": Scene("image-missing", (deployment(image="{registry}/ggml/llama.cpp:no-such-tag"),)),
    "image-denied": Scene("image-denied", (deployment(image="{registry}/private/server:1"),)),
    "image-absent": Scene("image-absent", (deployment(image="docker.io/testbed/none:1", imagePullPolicy="Never"),)),
    "image-name": Scene("image-name-invalid", (deployment(image="Not/Lower:1"),)),
    # ------------------------------------------------------------------------------------------------------ no node
    "gpus": Scene("no-room-on-nodes", (deployment("sleep", "600", **asks(**{"nvidia.com/gpu": "2"})),)),
    "memory": Scene("no-room-on-nodes", (deployment("sleep", "600", resources={"requests": {"memory": "9000Gi"}}, **{k: v for k, v in weights().items() if k == "volumeMounts"}, spec=weights()["spec"]),), claim="models", path="granite/v1"),
    "selector": Scene("no-node-fits", (deployment("sleep", "600", spec={"nodeSelector": {"gpu": "h200"}}),)),
    "tainted": Scene("no-node-fits", (deployment("sleep", "600", spec={"nodeSelector": {"diagnosis": "tainted"}}),)),
    # ------------------------------------------------------------------------------------------------------ the claim
    "claim-missing": Scene("claim-missing", (deployment("sleep", "600", **weights("nowhere")),)),
    "claim-unbound": Scene("no-volume", (claim("unbound", size="7777Gi"), deployment("sleep", "600", **weights("unbound"))), claim="unbound"),
    "claim-class": Scene("class-missing", (claim("classless", storage_class="nowhere"), deployment("sleep", "600", **weights("classless"))), claim="classless"),
    "mount-failed": Scene("mount-failed", (*GONE, deployment("sleep", "600", **weights("gone"))), claim="gone"),
    "link-to-nowhere": Scene("model-path-unusable", (deployment("sleep", "600", **weights(path="dangling")),), claim="models", path="dangling"),
    "empty-folder": Scene("empty-folder", (python(SERVES, **weights(path="granit/v1"), **probe("readinessProbe", PORT)),), claim="models", path="granit/v1", look=True),
    # ------------------------------------------------------------------------------------------------------ the server
    "bad-argument": Scene("bad-argument", (deployment("python3", "-m", "http.server", "--ctx-sise", "8080"),)),
    "program-missing": Scene("program-missing", (deployment("/app/llama-server", "--port", "8080"),)),
    "runs-as-root": Scene("runs-as-root", (deployment("sleep", "600", spec={"securityContext": {"runAsNonRoot": True}}),)),
    "secret-missing": Scene("secret-missing", (deployment("sleep", "600", **env(secretKeyRef={"name": "nowhere", "key": "HF_TOKEN"})),)),
    "out-of-memory": Scene("out-of-memory", (python("b = bytearray(300 << 20)", resources={"limits": {"memory": "48Mi"}}),)),
    "crash-loop": Scene("crash-loop", (python(says("loading", "something nobody has seen", code=3)),)),
    "ended": Scene("ended", (python("print('done')"),)),
    "a-file": Scene("model-not-a-folder", (python(LISTS, **weights(path="granite/v1/model.gguf")),), claim="models", path="granite/v1/model.gguf"),
    "probe-failing": Scene("probe-failing", (python(SERVES, **probe("readinessProbe", 9090)),), fatal=False),
    "liveness-failing": Scene("liveness-failing", (python(SERVES, **probe("livenessProbe", 9090, failureThreshold=1)),)),
    # ------------------------------------------------------------------------------------------------------ refused
    "quota": Scene("quota-exceeded", (deployment("sleep", "600", **asks(**{"example.com/gpu": "1"})),)),
    "limit-range": Scene("limit-range", (deployment("sleep", "600", resources={"limits": {"cpu": "9k"}}),)),
    "pod-security": Scene("pod-security", (deployment("sleep", "600", securityContext={"privileged": True}),)),
    "account-missing": Scene("service-account-missing", (deployment("sleep", "600", spec={"serviceAccountName": "nobody"}),)),
    "job-admission-refuses": Scene("admission-denied", (deployment("sleep", "600"),)),
    "webhook-down": Scene("webhook-unreachable", (WEBHOOK, deployment("sleep", "600", labels={"webhook": "absent"})), fatal=False),
    # ------------------------------------------------------------------------------------------------------ rollouts
    "rollout-stuck": Scene("rollout-stuck", (python(SERVES, **weights("one-pod", path="granite"), **probe("readinessProbe", PORT)),), then=(python(SERVES, annotations={"version": "2"}, **weights("one-pod", path="granite"), **probe("readinessProbe", PORT)),), claim="one-pod", path="granite"),
    "rollout-broken": Scene("image-missing", (python(SERVES),), then=(python(SERVES, image="{registry}/missing/server:2"),)),
}  # fmt: skip


def runtime(**fields):
    container = {"name": "kserve-container", "image": BASE, "command": ["python3", "-u", "-c", SERVES], "imagePullPolicy": "IfNotPresent"}  # fmt: skip
    return {
        "apiVersion": f"{KSERVE}/v1alpha1", "kind": "ServingRuntime", "metadata": {"name": fields.pop("name", "files")},
        "spec": {"supportedModelFormats": [{"name": "files", "autoSelect": False}], "containers": [container], **fields},
    }  # fmt: skip


def service(path="pvc://models/granite/v1", annotations=None, format_name="files", runtime_name="files", **predictor):
    model = {"modelFormat": {"name": format_name}, "storageUri": path}
    if runtime_name:
        model["runtime"] = runtime_name
    return {
        "apiVersion": f"{KSERVE}/v1beta1", "kind": "InferenceService",
        "metadata": {"name": "", "annotations": {f"{KSERVE}/deploymentMode": "Standard", **(annotations or {})}},
        "spec": {"predictor": {"minReplicas": 1, "maxReplicas": 1, "model": model, **predictor}},
    }  # fmt: skip


RUNTIMES = (runtime(), runtime(name="off", disabled=True))
KSERVE_SCENES = {
    "kserve-empty-folder": Scene("empty-folder", (service("pvc://models/granit/v1"),), claim="models", path="granit/v1", look=True, service=True),
    "kserve-runtime-missing": Scene("runtime-missing", (service(runtime_name="filse"),), service=True, deployed=False),
    "kserve-runtime-disabled": Scene("runtime-disabled", (service(runtime_name="off"),), service=True, deployed=False),
    "kserve-no-runtime": Scene("runtime-unsupported", (service(format_name="nobody-knows", runtime_name=None),), service=True, deployed=False),
    "kserve-protocol": Scene("runtime-unsupported", (service(format_name="triton"),), service=True, deployed=False),
    "kserve-scheme": Scene("storage-uri-invalid", (service("nfs://server/models"),), service=True, deployed=False),
    "kserve-path": Scene("object-invalid", (service("pvc://models/../models"),), service=True, claim="models", path="../models"),
    "kserve-claim-missing": Scene("claim-missing", (service("pvc://nowhere/granite"),), service=True),
    "kserve-stopped": Scene("kserve-stopped", (service(annotations={f"{KSERVE}/stop": "true"}),), service=True, deployed=False),
    "kserve-rollout-stuck": Scene("rollout-stuck", (service("pvc://one-pod/granite"),), then=(service("pvc://one-pod/granite", annotations={"version": "2"}),), claim="one-pod", path="granite", service=True),
    "kserve-probes": Scene("reconcile-failed", (runtime(name="tcp", containers=[{"name": "kserve-container", "image": BASE, "command": ["python3", "-c", SERVES], **probe("readinessProbe", PORT)}]), {**service(runtime_name="tcp"), "spec": {"predictor": {"model": {"modelFormat": {"name": "files"}, "runtime": "tcp", "storageUri": "pvc://models/granite/v1", "readinessProbe": {"httpGet": {"path": "/", "port": PORT}}}}}}), service=True, deployed=False),
}  # fmt: skip
