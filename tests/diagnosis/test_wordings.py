"""Wordings that this cluster cannot say: of other versions, of clouds and of OpenShift; as their sources have them."""

import pytest

from lading.diagnosis import admission, claims, jobs, pods, scheduling


def waiting(reason, message="", **spec):
    state = {"name": "lading", "state": {"waiting": {"reason": reason, "message": message}}}
    containers = [{"name": "lading", "image": "quay.io/team/lading:1"}]
    return {
        "metadata": {"name": "p", "uid": "1"},
        "spec": {"nodeName": "n", "containers": containers, **spec},
        "status": {"phase": "Pending", "containerStatuses": [state]},
    }


def event(reason, message, **more):
    return {"reason": reason, "message": message, "involvedObject": {"name": "p", "uid": "1"}, **more}


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials", "image-denied"),
        ("unexpected status from HEAD request to https://quay.io/v2/: 403 Forbidden", "image-denied"),
        ("429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit", "registry-busy"),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "registry-not-trusted"),
        ("http: server gave HTTP response to HTTPS client", "registry-not-trusted"),
        ("no match for platform in manifest: not found", "image-wrong-platform"),
        ("dial tcp: lookup quay.io on 10.0.0.1:53: no such host", "registry-unreachable"),
        ("write /var/lib/containerd/x: no space left on device", "node-disk-full"),
        ("reading manifest 1 in quay.io/team/lading: manifest unknown", "image-missing"),
        ("something nobody has seen", "image-not-pullable"),
    ],
)  # fmt: skip
def test_why_an_image_does_not_come(message, cause):
    pulled = event("Failed", f'Failed to pull image "quay.io/team/lading:1": {message}', count=2)
    # before Kubernetes 1.31 the state itself did not say why
    older = pods.watching(waiting("ImagePullBackOff", 'Back-off pulling image "quay.io/team/lading:1"'), [pulled])
    newer = pods.watching(waiting("ErrImagePull", message), [pulled])
    assert older.cause == newer.cause == cause
    assert "quay.io/team/lading:1" in older.sentence


def test_a_registry_that_failed_once_may_answer_the_next_time():
    once = pods.watching(waiting("ErrImagePull", "dial tcp: i/o timeout"), [event("Failed", "Failed to pull image")])
    twice = pods.watching(waiting("ErrImagePull", "dial tcp: i/o timeout"), [event("Failed", "Failed to pull image", count=2)])  # fmt: skip
    assert (once.fatal, twice.fatal) == (False, True)


def test_pull_secrets_that_were_given_are_named():
    given = waiting("ErrImagePull", "401 Unauthorized", imagePullSecrets=[{"name": "quay"}])
    assert "quay" in pods.watching(given, []).remedy
    gone = event("FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (quay)")
    assert "Unable to retrieve" in pods.watching(given, [gone]).remedy


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("0/4 nodes are available: 1 node(s) had untolerated taint {nvidia.com/gpu: present}, 3 Insufficient cpu. preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling.", "no-room-on-nodes"),
        ("0/3 nodes are available: 3 node(s) had volume node affinity conflict.", "volume-elsewhere"),
        ("0/2 nodes are available: 2 node(s) were unschedulable.", "node-cordoned"),
        ("0/2 nodes are available: 2 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }.", "node-tainted"),
        ("0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.", "no-volume-for-node"),
        ("0/2 nodes are available: 2 node(s) exceed max volume count.", "node-full"),
        ('0/1 nodes are available: persistentvolumeclaim "models" is being deleted.', "claim-terminating"),
        ("0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode.", "claim-held"),
        ("running PreBind plugin: a new kind of trouble", "unschedulable"),
    ],
)  # fmt: skip
def test_why_no_node_takes_a_pod(message, cause):
    finding = scheduling.unschedulable(message)
    assert (finding.cause, finding.evidence) == (cause, (message,))
    assert "Preemption" not in finding.sentence


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ('Multi-Attach error for volume "pvc-1" Volume is already exclusively attached to one node and can\'t be attached to another', "claim-held"),
        ('Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) granite-predictor-0', "claim-held"),
        ("MountVolume.MountDevice failed for volume \"pvc-1\" : kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient: driver name ebs.csi.aws.com not found in the list of registered CSI drivers", "csi-driver-missing"),
        ("MountVolume.SetUp failed for volume \"pvc-1\" : mount failed: exit status 32 mount.nfs: access denied by server while mounting 10.0.0.9:/models", "mount-denied"),
        ("Unable to attach or mount volumes: unmounted volumes=[claim], unattached volumes=[], failed to process volumes=[]: timed out waiting for the condition", "mount-slow"),
    ],
)  # fmt: skip
def test_why_a_volume_is_not_mounted(message, cause):
    finding = pods.watching(waiting("ContainerCreating"), [event("FailedMount", message)])
    assert (finding.cause, finding.fatal) == (cause, False)


def test_an_older_mount_failure_of_a_pod_that_runs_now_is_history():
    pod = waiting("ContainerCreating")
    pod["status"] = {"phase": "Running", "containerStatuses": [{"name": "lading", "state": {"running": {}}}]}
    assert pods.watching(pod, [event("FailedMount", "anything")]) is None


def test_events_of_another_pod_are_left_out():
    other = event("FailedMount", 'configmap "ca" not found', involvedObject={"name": "p", "uid": "2"})
    assert pods.watching(waiting("ContainerCreating"), [other]) is None


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        ({"reason": "Evicted", "message": "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 9Mi."}, "evicted"),
        ({"reason": "Evicted", "message": 'Usage of EmptyDir volume "tmp" exceeds the limit "256Mi".'}, "evicted"),
        ({"reason": "NodeShutdown", "message": "Pod was terminated in response to imminent node shutdown."}, "node-shutdown"),
        ({"reason": "OutOfcpu", "message": "Node didn't have enough resource: cpu"}, "node-refused"),
        ({"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "preempting to accommodate a higher priority pod"}]}, "preempted"),
        ({"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}]}, "node-lost"),
        ({"reason": "NeverSeen", "message": "x"}, "unknown"),
    ],
)  # fmt: skip
def test_what_took_a_pod(status, cause):
    assert pods.ended({"status": {"phase": "Failed", **status}}).cause == cause


def failed(message, code=1):
    terminated = {"exitCode": code, "reason": "Error", "message": message}
    return {"status": {"phase": "Failed", "containerStatuses": [{"state": {"terminated": terminated}}]}}


def test_our_error_is_found_in_the_log_when_the_message_has_none():
    log = ["starting", '{"event": "failed", "code": "VolumeFull", "message": "no\\nroom", "retryable": false}']
    finding = pods.ended(failed(""), log=log)
    assert (finding.cause, finding.sentence, finding.remedy, finding.fatal) == ("VolumeFull", "no room", "", True)


@pytest.mark.parametrize(
    "line", ['{"event": "failed"}', '{"event": "failed", "code": 7}', "{" * 5000, "[1]", '{"event"']
)
def test_what_only_looks_like_our_error_is_not_taken_for_it(line):
    assert pods.ended(failed(line), log=[line]).cause == "failed"


def test_the_remedy_names_the_claim_of_the_pod():
    pod = failed("PermissionError: [Errno 13] Permission denied: '/volume/x'")
    pod["spec"] = {"volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": "models"}}]}
    assert "pvc://models" in pods.ended(pod).remedy


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ('pods "x" is forbidden: failed quota: team: must specify limits.cpu for: lading; limits.memory for: lading', "quota-needs-limits"),
        ('pods "x" is forbidden: unable to validate against any security context constraint: [provider "restricted-v2": .spec.securityContext.fsGroup: Invalid value: []int64{65532}: 65532 is not an allowed group]', "scc-refused"),
        ('admission webhook "validate.kyverno.svc-fail" denied the request: policy Pod/demo/x: labels are required', "admission-denied"),
        ('Internal error occurred: failed calling webhook "mpod.kb.io": failed to call webhook: Post "https://x": dial tcp: connection refused', "webhook-unreachable"),
        ('pods "x" is forbidden: no PriorityClass with name high was found', "priority-class-missing"),
        ("something nobody has seen\nin two lines", "unknown"),
    ],
)  # fmt: skip
def test_why_a_pod_is_not_admitted(message, cause):
    finding = admission.refused(message)
    assert finding.cause == cause
    assert "\n" not in finding.sentence


def test_between_two_attempts_the_last_end_is_said_and_waited_for():
    pod = failed('{"event": "failed", "code": "SourceDenied", "message": "no"}')
    assert jobs.watching({"metadata": {"name": "j"}}, [pod], []).fatal is False


def test_a_job_that_gave_up_and_lost_its_pods_says_so():
    condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}  # fmt: skip
    finding = jobs.ended({"metadata": {"name": "j"}, "status": {"conditions": [condition]}})
    assert (finding.cause, finding.fatal) == ("gave-up", True)


def test_a_refusal_before_a_pod_was_made_is_history():
    job = {"metadata": {"name": "p", "uid": "1"}}
    events = [
        event("FailedCreate", "exceeded quota", lastTimestamp="2026-01-01T00:00:00Z"),
        event("SuccessfulCreate", "Created pod", lastTimestamp="2026-01-01T00:00:05Z"),
    ]
    assert jobs.watching(job, [], events) is None


def test_the_nearest_class_is_offered():
    claim = {"metadata": {"name": "c"}, "spec": {"storageClassName": "standrad"}, "status": {"phase": "Pending"}}
    (finding,) = claims.findings(claim, classes=["standard", "fast"])
    assert "did you mean standard?" in finding.remedy


def test_a_forgotten_event_does_not_hide_why_a_claim_waits():
    """Events are kept for an hour; the class says the same."""
    claim = {"metadata": {"name": "c"}, "spec": {"storageClassName": "later"}, "status": {"phase": "Pending"}}
    (finding,) = claims.findings(claim, storage_class={"volumeBindingMode": "WaitForFirstConsumer"})
    assert (finding.cause, finding.fatal) == ("waits-for-consumer", False)


def test_a_bound_claim_has_no_findings():
    assert claims.findings({"metadata": {"name": "c"}, "status": {"phase": "Bound"}}) == ()
