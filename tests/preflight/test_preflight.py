"""What would keep a Job from its work is found before there is one, on a real cluster, as its ordinary user."""

import json
import re

import pytest
from tests.testbed import golden

pytestmark = pytest.mark.real("cluster")


async def test_what_the_source_has_and_what_is_free_is_seen_from_where_the_job_will_run(bed):
    bed.namespace.claim()
    bed.namespace.secret("s3", bed.keys)
    found = await bed.preflight(secret="s3")
    assert found.problems == ()
    assert (found.listed.files, found.listed.size_bytes) == (2, 40_002)
    assert found.listed.free_bytes > 1 << 20
    assert found.listed.published == ()
    assert found.listed.writable is True
    assert bed.left() == []


async def test_all_problems_are_told_at_once(bed):
    """Nothing is started for them: the API tells."""
    bed.namespace.secret("s3", {"AWS_ACCESS_KEY_ID": "x"})
    bed.namespace.secret("registry", {"a": "b"})
    found = await bed.preflight("modls", secret="s3", placement={"pull_secrets": ("registry",), "ca_config_map": "ca"})
    assert sorted(one.code for one in found.problems) == ["ca-missing", "claim-missing", "secret-key", "secret-key"]
    assert bed.left() == []


@pytest.fixture
def said(bed, lading):
    """What `lading pull` says of a pull that cannot be, without what is another in every run; nothing is left behind."""

    def run(source, claim, *options):
        result = lading("pull", source, f"pvc://{claim}/granite", "--endpoint", bed.minio.in_cluster, *options)
        assert bed.left() == []
        text = golden.said(result).replace(bed.namespace.name, "NAMESPACE").replace(bed.minio.in_cluster, "ENDPOINT")
        return re.sub(r"lading-(look|pull|reader)-[\w-]+", "POD", text)

    return run


def test_each_problem_of_a_claim_is_told_by_one_message(bed, said):
    bed.namespace.claim("pending", bind=False)
    bed.namespace.claim("full", capacity_on_disk_bytes=16 << 10)
    bed.namespace.claim("root", permissions=0o700)
    bed.namespace.claim("frozen", modes=("ReadOnlyMany",))
    bed.namespace.secret("s3", bed.keys)
    options = ("--secret", "s3", "--expect", "any")
    golden.check("preflight", "claim-missing", said("s3://llm/granite", "ful", *options))
    golden.check("preflight", "claim-pending", said("s3://llm/granite", "pending", *options))
    golden.check("preflight", "claim-read-only", said("s3://llm/granite", "frozen", *options))
    full = re.sub(r"[\d.]+ kB free", "… kB free", said("s3://llm/granite", "full", *options))
    golden.check("preflight", "claim-full", full)


def test_each_problem_of_a_source_is_told_by_one_message(bed, said):
    bed.namespace.claim()
    bed.namespace.secret("s3", bed.keys)
    bed.namespace.secret("other", {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "whatever-it-is"})
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    store = bed.minio.client()
    store.put_object(Bucket="llm", Key="half/config.json", Body=b'{"model_type": "llama"}')
    store.put_object(Bucket="llm", Key="half/model.safetensors.index.json", Body=json.dumps(index).encode())
    store.put_object(Bucket="llm", Key="half/model-00001-of-00002.safetensors", Body=b"0" * 100)
    golden.check("preflight", "source-empty", said("s3://llm/granit", "models", "--secret", "s3"))
    golden.check("preflight", "source-half", said("s3://llm/half", "models", "--secret", "s3"))
    golden.check("preflight", "source-refused", said("s3://llm/granite", "models", "--secret", "other"))
    golden.check("preflight", "source-anonymous", said("s3://llm/granite", "models"))


def test_each_problem_of_a_pod_is_told_by_one_message(bed, said):
    ns = bed.namespace
    ns.claim()
    ns.secret("s3", bed.keys)
    ns.secret("half", {"AWS_ACCESS_KEY_ID": "x", "note": "y"})
    golden.check("preflight", "secret-key", said("s3://llm/granite", "models", "--secret", "half"))
    golden.check("preflight", "secret-missing", said("s3://llm/granite", "models", "--secret", "absent"))
    golden.check("preflight", "account-missing", said("s3://llm/granite", "models", "--service-account", "absent"))
    image = ("--image", "docker.io/testbed/absent:1")
    golden.check("preflight", "image", said("s3://llm/granite", "models", "--secret", "s3", *image))
    quota = {"kind": "ResourceQuota", "spec": {"hard": {"limits.memory": "100Mi"}}}
    ns.apply({"apiVersion": "v1", "metadata": {"name": "small"}, **quota})
    golden.check("preflight", "quota", said("s3://llm/granite", "models", "--secret", "s3"))


def test_programs_get_each_problem_as_a_document(bed, lading):
    bed.namespace.secret("half", {"AWS_ACCESS_KEY_ID": "x"})
    result = lading("pull", "s3://llm/granite", "pvc://absent/granite", "--secret", "half", "--format", "json")
    assert result.returncode == 1
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one["event"], one["code"]) for one in told] == [
        ("preflight_problem", "claim-missing"),
        ("preflight_problem", "secret-key"),
    ]
    assert all(one["hint"] for one in told)


def test_a_missing_right_is_told_as_the_rule_to_add(bed, said):
    ns = bed.namespace
    ns.claim()
    role = ns.get("roles", "lading-user", root="/apis/rbac.authorization.k8s.io/v1")
    rules = [rule for rule in role["rules"] if "jobs" not in rule["resources"]]
    ns.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "lading-user"},
            "rules": rules,
        }
    )
    golden.check("preflight", "right-missing", said("s3://llm/granite", "models"))
