"""Objects come from outside: whatever they hold, a diagnosis answers, in one line, and raises nothing."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.diagnosis import admission, claims, jobs, pods, serving_runtimes
from lading.diagnosis.serving import Evidence, diagnose

REAL = [json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "data").glob("*.json"))]
KEYS = st.sampled_from([
    "metadata", "name", "uid", "status", "phase", "reason", "message", "conditions", "type", "state", "waiting",
    "terminated", "exitCode", "containerStatuses", "spec", "containers", "involvedObject", "lastTimestamp", "volumes",
    "storageClassName", "deletionTimestamp", "series", "count", "activeDeadlineSeconds",
])  # fmt: skip
WORDS = st.sampled_from([
    "Failed", "Pending", "Lost", "True", "PodScheduled", "Unschedulable", "ImagePullBackOff", "FailedMount", "Evicted",
    "CreateContainerConfigError", "exceeded quota: a", 'secret "', "{", '{"event": "failed", "code": "X"}', "9999-99-99",
    "0001-01-01T00:00:00", "\n\x00\u2028", "Multi-Attach error for volume", "DeadlineExceeded", "StartError",
])  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=20)
ANYTHING = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6))
OBJECTS = st.dictionaries(KEYS, ANYTHING, max_size=8)


def all_of(subject, others, events):
    yield pods.watching(subject, events)
    yield pods.ended(subject, events, ["x"])
    yield jobs.watching(subject, others, events)
    yield jobs.ended(subject, others, events, ["x"])
    yield from claims.findings(subject, events, storage_class=subject, classes=["a"], users=["b"])
    both = (subject, *others)
    for service in (None, subject):
        yield diagnose(Evidence(
            name="s", pods=both, replica_sets=both, deployment=subject, service=service, runtimes=others, claim=subject,
            volume=subject, storage_class=subject, events=events, logs={"x": ["y"]}, waited_s=99.0,
        ))  # fmt: skip
    yield diagnose(Evidence(name="s", pods=both, events=events))
    yield from serving_runtimes.problems(subject, model_format="a", protocol="b", served_name="c", name="d")


def check(subject, others, events):
    for finding in all_of(subject, others, events):
        if finding is not None:
            assert finding.cause
            assert finding.sentence
            for line in (finding.sentence, finding.remedy, *finding.evidence):
                assert "\n" not in line
                assert len(line) < 5000


@given(OBJECTS, st.lists(ANYTHING, max_size=2), st.lists(ANYTHING, max_size=3))
def test_arbitrary_objects_raise_nothing(subject, others, events):
    check(subject, others, events)


@settings(max_examples=300)
@given(st.sampled_from(REAL), st.data())
def test_real_objects_with_a_part_gone_or_changed_raise_nothing(real, data):
    evidence = copy.deepcopy(real)
    place, key = evidence, None
    for _ in range(data.draw(st.integers(1, 9))):
        inside = list(place) if isinstance(place, dict) else list(range(len(place))) if isinstance(place, list) else []
        if not inside:
            break
        parent, key = place, data.draw(st.sampled_from(inside))
        place = parent[key]
    if key is not None:
        parent[key] = data.draw(ANYTHING)
    subject = evidence["subject"] if isinstance(evidence["subject"], dict) else {}
    pods_ = evidence["pods"] if isinstance(evidence["pods"], list) else []
    check(subject, pods_, evidence["events"] if isinstance(evidence["events"], list) else [])


@given(st.text())
def test_any_refusal_is_one_line(message):
    assert "\n" not in admission.refused(message).sentence


@pytest.mark.parametrize("real", REAL[:5])
def test_without_events_the_object_alone_is_enough_not_to_raise(real):
    check(real["subject"], real["pods"], [])
