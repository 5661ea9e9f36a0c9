"""`lading pull … --output yaml`: a pull kept in Git does what the command does, when a controller applies it."""

import pytest
from tests.jobs.conftest import versions
from tests.testbed.api import wait

pytestmark = pytest.mark.real("cluster")


def printed(lading, *arguments):
    result = lading("pull", *arguments, "--expect", "any", "--output", "yaml")
    assert result.returncode == 0, result.stderr
    return result


def test_what_is_printed_pulls_when_it_is_applied_and_is_silent_when_it_is_applied_again(lading, namespace, pulls):
    claim = namespace.claim()
    source = pulls.offer("m")
    text = printed(lading, source, "pvc://models/m").stdout
    assert namespace.get("jobs", root="/apis/batch/v1") == [], "nothing was created by printing"
    namespace.kubectl("apply", "--server-side", "-f", "-", stdin=text)
    (job,) = namespace.get("jobs", root="/apis/batch/v1")
    name = job["metadata"]["name"]
    wait("the Job is done", lambda: (namespace.get("jobs", name, root="/apis/batch/v1").get("status") or {}).get("succeeded"), within_s=120)  # fmt: skip
    assert len(versions(claim, "m")) == 1
    assert printed(lading, source, "pvc://models/m").stdout == text, "the same pull is the same text"
    namespace.kubectl("apply", "--server-side", "-f", "-", stdin=text)
    (again,) = namespace.get("jobs", root="/apis/batch/v1")
    assert again["metadata"]["uid"] == job["metadata"]["uid"]


def test_what_is_in_its_way_today_is_said_beside_it(lading, namespace, pulls):
    result = printed(lading, pulls.offer("m"), "pvc://nowhere/m", "--argocd-hook")
    assert "there is no claim nowhere" in result.stderr
    assert "argocd.argoproj.io/hook: Sync" in result.stdout
    assert "claimName: nowhere" in result.stdout
