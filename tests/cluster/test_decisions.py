"""What the client decides without asking anybody: waits, refusals, rules, what of a stream is new."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.testbed import golden

from lading.cluster import access, lines, logs, refusals, retry
from lading.cluster.access import Right
from lading.cluster.kinds import CLAIM, CONFIG_MAP, JOB, NODE, POD, SECRET
from lading.cluster.logs import LogLine, Run, Told
from lading.cluster.watch import Known
from lading.errors import ClusterConflict, ClusterDenied, ObjectMissing

# ----------------------------------------------------------------------------------------------------------------- waits


@given(st.floats(0, 1), st.floats(0, 100))
def test_waits_grow_are_bounded_and_obey_the_server(jitter, asked_s):
    """Never less than it asks for, never more in all than patience has."""
    patience = retry.Patience(total_s=30)
    waited_s, waits = 0.0, []
    while (wait_s := patience.wait_s(len(waits) + 1, waited_s, asked_s=asked_s, jitter=jitter)) is not None:
        assert asked_s <= wait_s <= max(patience.longest_s, asked_s * 1.1)
        waits.append(wait_s)
        waited_s += wait_s
    assert waited_s <= 30
    assert waits == sorted(waits)
    assert waits or asked_s > 27


async def test_a_fault_after_progress_is_a_first_one(monkeypatch):
    """Long work is not ended by faults that add up over hours."""

    async def no_time(wait_s):
        pass

    monkeypatch.setattr(asyncio, "sleep", no_time)
    waits = retry.Waits(retry.Patience(total_s=1))
    fault = refusals.ServerFault("x", status=503, asked_s=0.6)
    for _ in range(5):
        await waits.bear(fault)
        waits.progress()
    await waits.bear(fault)
    with pytest.raises(refusals.ServerFault):
        await waits.bear(fault)


@pytest.mark.parametrize(("text", "asked_s"), [("3", 3.0), ("", 0.0), ("soon", 0.0), ("-1", 0.0), ("²", 0.0)])
def test_retry_after(text, asked_s):
    assert retry.asked_s({"Retry-After": text}) == asked_s


# -------------------------------------------------------------------------------------------------------------- refusals


def status(message, **more):
    return json.dumps({"kind": "Status", "message": message, **more})


REFUSED = {
    "rbac": (403, status('secrets "s" is forbidden: User "ann" cannot get resource "secrets" in API group ""')),
    "quota": (403, status('pods "p" is forbidden: exceeded quota: small, requested: cpu=1, used: cpu=1, limited: cpu=1')),
    "nobody": (401, status("Unauthorized")),
    "missing": (404, status('pods "p" not found')),
    "modified": (409, status("the object has been modified; please apply your changes to the latest version")),
    "owned": (409, status(
        'Apply failed with 1 conflict: conflict with "helm" using apps/v1: .spec.replicas',
        details={"causes": [{"reason": "FieldManagerConflict", "message": 'conflict with "helm" using apps/v1',
                             "field": ".spec.replicas"}]},
    )),
    "a proxy's page": (502, "<html>\n<h1>Bad gateway</h1>" + "x" * 1000),
    "nothing": (503, ""),
    "hostile": (400, status(["no", "string"], details=7)),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_says_what_was_asked_and_what_to_do(case):
    error = refusals.error(Right("get", POD, "p", None, "demo"), *REFUSED[case])
    name = case.replace(" ", "-").replace("'", "")
    golden.check("cluster", f"refused-{name}", f"{type(error).__name__}\nerror: {error.message}\nhint: {error.hint}\n")


@given(st.integers(300, 599), st.text())
def test_no_answer_breaks_it(code, text):
    """Whatever stands between us and the API server."""
    error = refusals.error(Right("get", POD), code, text)
    assert error.status == code
    kinds = {401: ClusterDenied, 403: ClusterDenied, 404: ObjectMissing, 409: ClusterConflict}
    assert isinstance(error, kinds.get(code, refusals.ClusterError))


def test_exec_needs_both_verbs():
    """A WebSocket is a GET to older API servers, newer ones ask for create as well."""
    error = refusals.error(
        Right("get", POD, "p", "exec", "demo"), 403, status('User "ann" cannot get resource "pods/exec"')
    )
    assert '- {apiGroups: [""], resources: ["pods/exec"], verbs: ["create", "get"]}' in error.hint


def test_missing_rights_are_one_sentence_with_the_rules_to_add():
    """Resources with the same verbs share a rule; what is of the cluster has a ClusterRole."""
    wanted = [
        *(Right(verb, kind, namespace="demo") for kind in (POD, CLAIM, CONFIG_MAP) for verb in ("get", "create")),
        Right("get", SECRET, "s3", None, "demo"), Right("create", POD, None, "exec", "demo"), Right("patch", JOB, "pull-x", None, "demo"), Right("list", NODE),
    ]  # fmt: skip
    error = access.denied(wanted, what="lading pull into pvc://models")
    golden.check("cluster", "denied", f"error: {error.message}\nhint: {error.hint}\n")


# --------------------------------------------------------------------------------------------------------------- streams


@given(st.binary(max_size=200), st.lists(st.integers(1, 30)))
async def test_lines_are_those_of_the_bytes_however_they_come(data, sizes):
    """A last one without its newline was broken off."""
    found = [line async for line in lines.split(cut(data, sizes))]
    assert found == data.split(b"\n")[:-1]


@given(st.binary(max_size=200), st.integers(1, 20))
async def test_a_line_is_never_longer_than_the_limit(data, longest):
    found = [line async for line in lines.split(cut(data, [7] * 40), longest_bytes=longest)]
    assert found == [line[:longest] for line in data.split(b"\n")[:-1]]


async def cut(data, sizes):
    start = 0
    for size in sizes:
        yield data[start : start + size]
        start += size
    yield data[start:]


START = datetime(2026, 1, 1, tzinfo=UTC)


@given(
    st.lists(st.tuples(st.integers(0, 1500), st.sampled_from("ab")), max_size=30),
    st.lists(st.integers(0, 30), max_size=6),
    st.integers(0, 900),
)
def test_each_line_of_a_log_is_told_once_wherever_it_breaks(written, breaks, crossing_ms):
    """Any number of lines of one second, equal ones too, stdout and stderr crossing by less than a second."""
    at_ms, log = 0, []
    for number, (step_ms, text) in enumerate(written):
        at_ms += step_ms
        at = START + timedelta(milliseconds=max(0, at_ms - (crossing_ms if number % 3 == 0 else 0)))
        log.append(LogLine(at.isoformat(timespec="microseconds"), text))
    told, heard = Told(), []
    for length in [*breaks, len(log)]:
        told.resume()
        sent = [line for line in log if told.since is None or line.at >= told.since]
        upto = len(sent) if length == len(log) else min(length, len(sent))
        heard += [line for line in sent[:upto] if told.is_new(line)]
    told.resume()
    heard += [line for line in log if (told.since is None or line.at >= told.since) and told.is_new(line)]
    assert heard == log


def test_the_rest_of_a_long_line_is_no_line():
    """Its first pieces are older than the second that was asked for."""
    told = Told()
    told.resume()
    whole = LogLine("2026-01-01T00:00:01.999999999Z", "a" * 16384 + "b" * 100)
    assert told.is_new(whole)
    assert told.is_new(LogLine("2026-01-01T00:00:03.100000000Z", "next"))
    told.resume()
    assert not told.is_new(LogLine("2026-01-01T00:00:02.000000001Z", "b" * 100))
    assert not told.is_new(LogLine("2026-01-01T00:00:03.100000000Z", "next"))
    assert told.is_new(LogLine("2026-01-01T00:00:03.200000000Z", "new"))


RUNS = {
    "no status": ({}, Run(None, over=False)),
    "creating": ({"containerStatuses": [{"name": "c", "state": {"waiting": {}}}]}, Run(None, over=False)),
    "evicted": ({"phase": "Failed"}, Run(None, over=True)),
    "running": (
        {"containerStatuses": [{"name": "c", "containerID": "1", "state": {"running": {}}}]}, Run("1", over=False),
    ),
    "ended": ({"containerStatuses": [{"name": "c", "state": {"terminated": {"containerID": "1"}}}]}, Run("1", over=True)),
    "never started": ({"phase": "Failed", "containerStatuses": [{"name": "c", "state": {"waiting": {}}}]}, Run(None, over=True)),
    "crash loop": (
        {"containerStatuses": [{"name": "c", "state": {"waiting": {}}, "lastState": {"terminated": {"containerID": "1"}}}]},
        Run("1", over=True, before="1"),
    ),
    "restarted": (
        {"initContainerStatuses": [{"name": "c", "containerID": "2", "state": {"running": {}},
                                    "lastState": {"terminated": {"containerID": "1"}}}]},
        Run("2", over=False, before="1"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RUNS)
def test_how_a_container_stands(case):
    given_, expected = RUNS[case]
    assert logs.run({"status": given_}, "c") == expected


# --------------------------------------------------------------------------------------------------------------- watches


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("xyz"), st.integers(1, 3), st.integers(1, 5)), unique_by=lambda it: it[0]),
        max_size=6,
    )
)
def test_what_a_list_changes_leads_from_one_to_the_next(snapshots):
    """Whoever follows the changes alone has exactly what the last list had."""
    known, followed = Known(), {}
    for number, snapshot in enumerate(snapshots):
        items = [made(name, uid, version) for name, uid, version in snapshot]
        for change in known.relist(items, str(number)):
            name, uid = change.object["metadata"]["name"], change.object["metadata"]["uid"]
            match change.type:
                case "added":
                    assert name not in followed
                case "modified":
                    assert followed[name]["metadata"]["uid"] == uid
                    assert followed[name] != change.object
                case "deleted":
                    assert followed.pop(name) == change.object
                    continue
            followed[name] = change.object
        assert sorted(followed) == sorted(name for name, _, _ in snapshot)
        assert all(followed[item["metadata"]["name"]] == item for item in items)


def made(name, uid, version):
    return {"metadata": {"name": name, "uid": uid, "resourceVersion": f"{uid}.{version}"}}
