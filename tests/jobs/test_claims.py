"""From claim to claim: one Job that mounts both, and from namespace to namespace through this process; to a folder here, to a store."""

import json

import pytest
from tests.jobs.conftest import versions
from tests.testbed import namespaces

from lading.volume import find

pytestmark = pytest.mark.real("cluster")


def events(result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def filled(lading, claim, model, folder):
    """The claim has *model* as v7, as if it had been pulled by somebody else; its manifest."""
    done = lading("pull", folder, claim.path, "--model", model, "--version", "v7")
    assert done.returncode == 0, done.stderr
    return find.open_volume(claim.path).manifest(model)


def there(claim, model):
    """The manifest of the one version of *model* on *claim*, whose files are as it says."""
    (version,) = versions(claim, model)
    return find.open_volume(claim.path).manifest(model, version)


def test_one_job_mounts_both_claims_and_holds_each_file_to_the_manifest(lading, namespace, tiny_hf):
    old, new = namespace.claim("old"), namespace.claim("new")
    theirs = filled(lading, old, "tiny", tiny_hf)
    missing = lading("pull", "pvc://gone/tiny", "pvc://new/tiny")
    assert (missing.returncode, "there is no claim gone" in missing.stderr) == (1, True), missing.stderr
    unpublished = lading("pull", "pvc://old/tinny", "pvc://new/tiny")
    assert unpublished.returncode == 1, unpublished.stdout
    assert "pvc://old/tinny" in unpublished.stderr
    assert "/source" not in unpublished.stderr
    assert namespace.get("jobs", root="/apis/batch/v1") == []
    pulled = lading("pull", "pvc://old/tiny", "pvc://new/tiny", "--format", "json")
    assert pulled.returncode == 0, pulled.stderr
    assert events(pulled)[-1]["path"] == "pvc://new/tiny/v7"
    ours = there(new, "tiny")
    assert (ours.files, ours.source) == (theirs.files, theirs.source)
    (job,) = namespace.get("jobs", root="/apis/batch/v1")
    mounts = job["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert [one.get("readOnly", False) for one in mounts if one["name"] in {"claim", "source"}] == [False, True]
    again = lading("pull", f"pvc://{namespace.name}:old/tiny", "pvc://new/tiny", "--format", "json")
    assert again.returncode == 0, again.stderr
    assert events(again)[-1]["event"] == "unchanged"


def test_from_namespace_to_namespace_and_into_a_folder_here(lading, namespace, cluster, tmp_path_factory, tiny_hf):
    elsewhere = namespaces.create(cluster.api, tmp_path_factory.mktemp("elsewhere"))
    try:
        theirs = filled(lading, elsewhere.claim("models"), "tiny", tiny_hf)
        claim = namespace.claim("models")
        source = ["--source-kubeconfig", elsewhere.kubeconfig]
        refused = lading("pull", "pvc://models/tiny", "pvc://models/tiny", *source, "--detach")
        assert (refused.returncode, "streamed from here" in refused.stderr) == (2, True)
        streamed = lading("pull", "pvc://models/tiny", "pvc://models/copies/tiny", *source)
        assert streamed.returncode == 0, streamed.stderr
        assert streamed.stdout.startswith("pvc://models/copies/tiny@v7 is published: ")
        ours = there(claim, "copies/tiny")
        assert (ours.files, ours.source) == (theirs.files, theirs.source)
        down = lading("pull", "pvc://models/tiny", "folder", *source, cwd=elsewhere.folder)
        assert down.returncode == 0, down.stderr
        assert down.stdout.startswith("folder/tiny@v7 is published: ")
        assert find.open_volume(elsewhere.folder / "folder").manifest("tiny").files == theirs.files
        for place in (namespace, elsewhere):
            assert not [pod for pod in place.get("pods") if "deletionTimestamp" not in pod["metadata"]]
    finally:
        elsewhere.remove()


def test_a_push_runs_in_a_job_with_the_credentials_named_for_it(lading, namespace, tiny_hf, tmp_path):
    theirs = filled(lading, namespace.claim(), "tiny", tiny_hf)
    minio = namespace.minio()
    minio.bucket("copies", {})
    keys = {"AWS_ACCESS_KEY_ID": minio.access_key, "AWS_SECRET_ACCESS_KEY": minio.secret_key}
    push = ["push", "pvc://models/tiny", "s3://copies/tiny/", "--endpoint", minio.in_cluster]
    unnamed = lading(*push, "--secret", "stor")
    assert (unnamed.returncode, "there is no Secret stor" in unnamed.stderr) == (1, True), unnamed.stderr
    assert namespace.get("jobs", root="/apis/batch/v1") == []
    namespace.secret("store", keys)
    pushed = lading(*push, "--secret", "store", "--format", "json")
    assert pushed.returncode == 0, pushed.stderr
    answer = events(pushed)[-1]
    assert (answer["event"], answer["version"], answer["files"]) == ("pushed", "v7", len(theirs.files))
    assert minio.secret_key not in json.dumps([*namespace.get("jobs", root="/apis/batch/v1"), *namespace.get("pods")])
    back = lading("pull", "s3://copies/tiny/", "back", "--endpoint", minio.endpoint, env=keys)
    assert back.returncode == 0, back.stderr
    ours = find.open_volume(tmp_path / "back").manifest("tiny")
    assert {file.path: file.sha256 for file in ours.files} == {file.path: file.sha256 for file in theirs.files}
