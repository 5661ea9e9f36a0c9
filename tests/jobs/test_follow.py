"""A Job is followed to its result, whatever happens to its pods and to the connection."""

import json
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from tests.jobs.conftest import versions
from tests.testbed.api import wait

from lading.events import FilePulled, Published, PullPlanned
from lading.testing import proxy
from lading.volume import reports

pytestmark = pytest.mark.real("cluster")


async def test_a_job_pulls_and_tells_what_a_pull_here_tells(namespace, pulls):
    claim = namespace.claim()
    result = await pulls.pull(pulls.document(pulls.offer("m"), "m"))
    assert isinstance(result, Published)
    assert result.path == "pvc://models/m/v1"
    assert versions(claim, "m") == ["v1"]
    assert [type(event) for event in pulls.told if isinstance(event, PullPlanned | FilePulled | Published)] == [
        PullPlanned, FilePulled, FilePulled, FilePulled, Published,
    ]  # fmt: skip
    (name,) = [job["metadata"]["name"] for job in namespace.get("jobs", root="/apis/batch/v1")]
    report = reports.read(claim.path, name)
    assert report.started_by == "tester"
    assert [attempt.exit_code for attempt in report.attempts] == [0]
    assert report.result["event"] == "published"


@contextmanager
def through(namespace, folder):
    """The API server by way of a proxy: the proxy, and a kubeconfig of the namespace's user that names it."""
    config = json.loads(namespace.kubeconfig.read_text())
    server = urlsplit(config["clusters"][0]["cluster"]["server"])
    with proxy.counting(server.hostname, server.port) as between:
        config["clusters"][0]["cluster"] |= {
            "server": f"https://127.0.0.1:{between.port}", "tls-server-name": server.hostname,
        }  # fmt: skip
        path = folder / "through"
        path.write_text(json.dumps(config))
        yield between, path


async def test_each_event_is_told_once_however_often_the_connection_breaks(namespace, pulls, tmp_path):
    claim = namespace.claim()
    pulls.web.slow = 0.1
    document = pulls.document(pulls.offer("m", files=4), "m")
    with through(namespace, tmp_path) as (between, pulls.kubeconfig):

        def during(pulls, run):
            for count in range(1, 4):
                wait("more was told", lambda count=count: len(pulls.told) > count)
                between.cut()

        result = await pulls.pull(document, during=during)
    assert isinstance(result, Published)
    assert versions(claim, "m") == ["v1"]
    files = [event.path for event in pulls.told if isinstance(event, FilePulled)]
    assert sorted(files) == [f"part-{number}.bin" for number in range(4)]
    assert not [notice for notice in pulls.notices() if "attempt" in notice]
