"""What would keep a Job from its work is found before there is one, on a real cluster, as its ordinary user."""

import pytest

pytestmark = pytest.mark.real("cluster")


async def test_what_the_source_has_and_what_is_free_is_seen_from_where_the_job_will_run(bed):
    bed.namespace.claim()
    bed.namespace.secret("s3", bed.keys)
    found = await bed.preflight(secret="s3")
    assert found.problems == ()
    assert (found.listed.files, found.listed.size_bytes) == (2, 40_002)
    assert found.listed.free_bytes > 1 << 20
    assert found.listed.published == ()
    assert bed.left() == []


async def test_all_problems_are_told_at_once(bed):
    """Nothing is started for them: the API tells."""
    bed.namespace.secret("s3", {"AWS_ACCESS_KEY_ID": "x"})
    bed.namespace.secret("registry", {"a": "b"})
    found = await bed.preflight("modls", secret="s3", placement={"pull_secrets": ("registry",), "ca_config_map": "ca"})
    assert sorted(one.code for one in found.problems) == ["ca-missing", "claim-missing", "secret-key", "secret-key"]
    assert bed.left() == []
