"""A Job is followed to its result, whatever happens to its pods and to the connection."""

import pytest
from tests.jobs.conftest import versions

from lading.events import FilePulled, Published, PullPlanned
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
