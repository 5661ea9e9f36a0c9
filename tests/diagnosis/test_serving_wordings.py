"""What this cluster cannot be brought to say of a service: evictions, pressure, autoscalers, controllers that sleep, stale events."""

import pytest

from lading.diagnosis import serving_classes
from lading.diagnosis.serving import Evidence, diagnose
from lading.engines.llamacpp import LlamaCpp

T0, T1, T2 = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"


def pod(name="p", *, phase="Running", state=None, last=None, restarts=0, ready=False, conditions=(), reason="", message="", node="n", made=T0, **meta):  # fmt: skip
    status = {
        "name": "server",
        "ready": ready,
        "restartCount": restarts,
        "state": state or {"running": {"startedAt": T1}},
    }
    if last:
        status["lastState"] = {"terminated": last}
    return {
        "metadata": {"name": name, "uid": name, "creationTimestamp": made, **meta},
        "spec": {"containers": [{"name": "server", "image": "i"}], **({"nodeName": node} if node else {})},
        "status": {"phase": phase, "reason": reason, "message": message, "containerStatuses": [status] if node else [], "conditions": [{"type": "Ready", "status": str(ready)}, *conditions]},
    }  # fmt: skip


def event(reason, message, at=T2, of="p", **more):
    return {
        "reason": reason,
        "message": message,
        "lastTimestamp": at,
        "involvedObject": {"name": of, "uid": of},
        **more,
    }


def unscheduled(message, **more):
    return pod(phase="Pending", node=None, conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}], **more)  # fmt: skip


def found(*pods, log=(), **more):
    return diagnose(Evidence(name="s", namespace="demo", pods=pods, logs={"p": log}, **more))


NO_GPU = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."


def test_an_evicted_pod_names_what_ran_out():
    taken = pod(phase="Failed", reason="Evicted", message="The node was low on resource: ephemeral-storage. ", state={"terminated": {"exitCode": 137, "reason": "Error"}})  # fmt: skip
    finding = found(taken)
    assert (finding.cause, finding.fatal) == ("evicted", False)
    assert "ephemeral-storage" in finding.sentence


def test_a_node_under_disk_pressure_may_recover():
    finding = found(unscheduled("0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }."))  # fmt: skip
    assert (finding.cause, finding.fatal) == ("node-pressure", False)


@pytest.mark.parametrize(
    ("more", "fatal"),
    [
        ({}, True),
        ({"events": [event("TriggeredScaleUp", "pod triggered scale-up: [{pool 1->2 (max: 4)}]")]}, False),
    ],
)
def test_no_room_is_the_end_unless_an_autoscaler_adds_a_node(more, fatal):
    finding = found(unscheduled(NO_GPU), **more)
    assert (finding.cause, finding.fatal) == ("no-room-on-nodes", fatal)


def test_no_room_is_waited_for_while_an_old_pod_leaves():
    leaving = pod("old", ready=True, deletionTimestamp=T2)
    finding = found(unscheduled(NO_GPU, made=T1), leaving)
    assert (finding.cause, finding.fatal) == ("no-room-on-nodes", False)


BOUND = {"metadata": {"name": "models", "uid": "c"}, "status": {"phase": "Bound"}}
UNBOUND = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."


def test_what_the_scheduler_said_before_the_claim_was_bound_is_history():
    assert found(unscheduled(UNBOUND), claim=BOUND) is None


def test_a_static_claim_that_is_about_to_bind_looks_broken_and_is_waited_for():
    pending = {"metadata": {"name": "models", "uid": "c"}, "spec": {"storageClassName": "manual"}, "status": {"phase": "Pending"}}  # fmt: skip
    said = [event("ProvisioningFailed", 'storageclass.storage.k8s.io "manual" not found', of="c")]
    early = found(unscheduled(UNBOUND), claim=pending, events=said, waited_s=3.0)
    late = found(unscheduled(UNBOUND), claim=pending, events=said, waited_s=30.0)
    assert [(one.cause, one.fatal) for one in (early, late)] == [("class-missing", False), ("class-missing", True)]


def test_a_mount_that_failed_before_it_succeeded_is_history():
    made = [{"type": "PodReadyToStartContainers", "status": "True"}]
    waits = {"waiting": {"reason": "ContainerCreating"}}
    failed = [event("FailedMount", "MountVolume.SetUp failed: rpc error: x", count=5)]
    assert found(pod(phase="Pending", state=waits, conditions=made), events=failed) is None
    assert found(pod(phase="Pending", state=waits), events=failed).cause == "mount-failed"


@pytest.mark.parametrize(("count", "fatal"), [(1, False), (3, True)])
def test_a_mount_that_fails_again_and_again_is_the_end(count, fatal):
    waits = {"waiting": {"reason": "ContainerCreating"}}
    failed = [event("FailedMount", "MountVolume.SetUp failed: rpc error: x", count=count)]
    assert found(pod(phase="Pending", state=waits), events=failed).fatal == fatal


def test_a_volume_on_another_node_may_come_free():
    waits = {"waiting": {"reason": "ContainerCreating"}}
    held = [event("FailedAttachVolume", 'Multi-Attach error for volume "pv-1" Volume is already used by pod(s) old-1')]
    finding = found(pod(phase="Pending", state=waits), pod("old-1", made=T0, deletionTimestamp=T1), events=held)
    assert (finding.cause, finding.fatal) == ("claim-held", False)


def test_a_probe_that_failed_before_the_last_start_is_history():
    old = [event("Unhealthy", "Readiness probe failed: connection refused", at=T0)]
    assert found(pod(), events=old) is None
    assert found(pod(), events=[event("Unhealthy", "Readiness probe failed: connection refused")]).cause == "probe-failing"  # fmt: skip


def test_a_crash_before_it_came_to_serve_is_history():
    assert found(pod(ready=True, restarts=3, last={"exitCode": 137, "reason": "OOMKilled"})) is None


def test_one_end_may_pass_and_a_second_is_a_crash_loop():
    backoff = {"waiting": {"reason": "CrashLoopBackOff"}}
    ended = {"exitCode": 9, "reason": "Error"}
    first = found(pod(state={"terminated": ended}))
    again = found(pod(state=backoff, restarts=1, last=ended))
    assert [(one.cause, one.fatal) for one in (first, again)] == [("failed", False), ("crash-loop", True)]


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("RuntimeError: More than one model file is detected", "model-ambiguous"),
        ("kserve.errors.ModelMissingError: /mnt/models", "model-not-found"),
        ("_pickle.UnpicklingError: pickle data was truncated", "model-corrupt"),
        ("error: invalid argument: --ctx-sise", "bad-argument"),
        ("flag provided but not defined: -foo", "bad-argument"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "out-of-memory"),
        ("[Errno 13] Permission denied: '/mnt/models/model.joblib'", "permission-denied"),
    ],
)
def test_last_words_name_the_class_at_the_first_end(line, cause):
    finding = found(pod(state={"terminated": {"exitCode": 1, "reason": "Error"}}), log=["starting", line])
    assert (finding.cause, finding.fatal) == (cause, True)
    assert line in "".join(finding.evidence)


def test_the_engines_own_words_come_before_general_ones():
    log = ["gguf_init_from_file: failed to open GGUF file '/mnt/models/x.gguf' (No such file or directory)"]
    finding = found(pod(state={"terminated": {"exitCode": 1, "reason": "Error"}}), log=log, engine=LlamaCpp())
    assert finding.cause == "model-not-found"


SERVICE = {"metadata": {"name": "s", "uid": "s", "generation": 1}, "spec": {}}


@pytest.mark.parametrize(
    "status", [{}, {"observedGeneration": 0, "conditions": [{"type": "Ready", "status": "Unknown"}]}]
)
def test_a_controller_that_never_looks_is_told_after_a_minute(status):
    evidence = {"service": {**SERVICE, "status": status}}
    assert found(**evidence, waited_s=10.0) is None
    finding = found(**evidence, waited_s=61.0)
    assert (finding.cause, finding.fatal) == ("not-reconciled", True)


def test_an_event_of_another_object_of_that_name_does_not_count():
    other = [event("Unhealthy", "Readiness probe failed", of="p")]
    other[0]["involvedObject"]["uid"] = "its-predecessor"
    assert found(pod(), events=other) is None


def test_an_empty_folder_is_found_behind_a_ready_service():
    ready = {**SERVICE, "status": {"conditions": [{"type": "PredictorReady", "status": "True"}, {"type": "Ready", "status": "True"}]}}  # fmt: skip
    seen = {"claim": BOUND, "model_path": "granit/v1", "service": ready}
    assert found(pod(ready=True), seen=(), **seen).cause == "empty-folder"
    assert found(pod(ready=True), seen=("lost+found",), **seen).cause == "empty-folder"
    assert found(pod(ready=True), seen=("model.gguf",), **seen) is None
    assert found(pod(ready=True), seen=None, **seen) is None


def test_each_class_says_what_it_means_and_remedies_have_no_holes():
    values = {key: key for key in ("name", "namespace", "claim", "path", "pod")}
    for cause, one in serving_classes.CLASSES.items():
        assert one.meaning.endswith("."), cause
        filled = serving_classes.fill(one.remedy, values)
        assert not [name for name in values if "{" + name + "}" in filled], cause
