"""`lading pull SOURCE pvc://claim/model`, the real command, as the namespace's user."""

import json

import pytest
from tests.jobs.conftest import versions
from tests.testbed.api import wait

pytestmark = pytest.mark.real("cluster")


def events(result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def jobs(namespace) -> list[str]:
    return [job["metadata"]["name"] for job in namespace.get("jobs", root="/apis/batch/v1")]


def test_from_minio_into_a_claim(lading, namespace, tiny_hf):
    claim = namespace.claim()
    minio = namespace.minio()
    minio.bucket("models", {f"tiny/{path.name}": path.read_bytes() for path in tiny_hf.iterdir()})
    keys = {"AWS_ACCESS_KEY_ID": minio.access_key, "AWS_SECRET_ACCESS_KEY": minio.secret_key}
    namespace.secret("store", keys)
    again = ["pull", "s3://models/tiny/", "pvc://models/tiny", "--secret", "store", "--endpoint", minio.in_cluster]
    pulled = lading(*again)
    assert pulled.returncode == 0, pulled.stderr
    (version,) = versions(claim, "tiny")
    assert pulled.stdout.startswith(f"pvc://models/tiny@{version} is published: ")
    assert pulled.stdout.splitlines()[1] == f"pvc://models/tiny/{version}"
    unchanged = lading(*again, "--format", "json")
    assert unchanged.returncode == 0, unchanged.stderr
    assert events(unchanged)[-1]["event"] == "unchanged"
    assert minio.secret_key not in json.dumps(namespace.get("jobs", root="/apis/batch/v1"))
    assert minio.secret_key not in json.dumps(namespace.get("pods"))


def test_a_dry_run_says_what_and_creates_nothing(lading, namespace, pulls):
    namespace.claim()
    source = pulls.offer("m")
    dry = lading("pull", source, "pvc://models/m", "--expect", "any", "--dry-run", "--format", "json")
    assert dry.returncode == 0, dry.stderr
    planned = events(dry)[-1]
    assert (planned["event"], planned["files"], planned["volume"]) == ("pull_planned", 3, "pvc://models")
    assert (jobs(namespace), namespace.get("pods")) == ([], [])


def test_detached_listed_followed_and_cancelled(lading, namespace, pulls):
    claim = namespace.claim()
    pulls.web.slow = 0.2
    pull = ["pull", pulls.offer("m"), "pvc://models/m", "--expect", "any"]
    started = lading(*pull, "--detach", "--no-preflight", "--format", "json")
    assert started.returncode == 0, started.stderr
    answer = events(started)[-1]
    assert answer["name"] == jobs(namespace)[0]
    listed = lading("jobs", "--format", "json")
    assert listed.returncode == 0, listed.stderr
    assert [(job["name"], job["claim"], job["model"]) for job in events(listed)] == [(answer["name"], "models", "m")]
    late = lading(*pull, "--timeout", "1s")
    assert (late.returncode, jobs(namespace)) == (5, [answer["name"]])
    assert f"lading jobs follow {answer['name']}" in late.stderr
    cancelled = lading("jobs", "cancel", answer["name"], "--yes")
    assert cancelled.returncode == 0, cancelled.stderr
    assert (jobs(namespace), namespace.get("pods")) == ([], [])
    pulls.web.slow = 0.0
    done = lading(*pull)
    assert done.returncode == 0, done.stderr
    assert versions(claim, "m")


def test_an_upload_from_a_folder(lading, namespace, tiny_hf):
    claim = namespace.claim()
    pulled = lading("pull", tiny_hf, "pvc://models/tiny")
    assert pulled.returncode == 0, pulled.stderr
    (version,) = versions(claim, "tiny")
    assert pulled.stdout.splitlines()[1] == f"pvc://models/tiny/{version}"
    again = lading("pull", tiny_hf, "pvc://models/tiny", "--format", "json")
    assert [one["path"] for one in events(again) if one["event"] == "unchanged"] == [f"pvc://models/tiny/{version}"]
    wait("the helper pod is gone", lambda: not namespace.get("pods"))
