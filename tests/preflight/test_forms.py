"""Credentials as users have them pull from a real MinIO, and no value of a Secret is anywhere but in its Secret."""

import base64
import json

import pytest

from lading.volume import find

pytestmark = pytest.mark.real("cluster")


def kserve(bed) -> tuple[str, ...]:
    """KServe's first way: a Secret on a ServiceAccount, its settings as annotations."""
    host = bed.minio.in_cluster.removeprefix("http://")
    data = {"awsAccessKeyID": bed.minio.access_key, "awsSecretAccessKey": bed.minio.secret_key}
    annotations = {"serving.kserve.io/s3-endpoint": host, "serving.kserve.io/s3-usehttps": "0"}
    bed.namespace.secret("kserve-s3", data, annotations=annotations)
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "puller"},
        "secrets": [{"name": "kserve-s3"}],
    }
    bed.namespace.apply(account)
    return "--service-account", "puller"


def storage_config(bed) -> tuple[str, ...]:
    """KServe's second way: connections as JSON under the keys of one Secret."""
    connection = {
        "type": "s3", "access_key_id": bed.minio.access_key, "secret_access_key": bed.minio.secret_key,
        "endpoint_url": bed.minio.in_cluster, "region": "us-east-1", "bucket": "llm",
    }  # fmt: skip
    bed.namespace.secret("storage-config", {"aws-connection-minio": json.dumps(connection)})
    return "--storage-key", "aws-connection-minio"


def data_connection(bed) -> tuple[str, ...]:
    """OpenShift AI's: a Secret that its dashboard made."""
    data = {
        **bed.keys,
        "AWS_S3_ENDPOINT": bed.minio.in_cluster,
        "AWS_S3_BUCKET": "llm",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    annotations = {"opendatahub.io/connection-type": "s3", "openshift.io/display-name": "MinIO"}
    bed.namespace.secret("minio-connection", data, labels={"opendatahub.io/dashboard": "true"}, annotations=annotations)
    return "--connection", "minio-connection"


def plain(bed) -> tuple[str, ...]:
    """Any Secret with a key and its secret."""
    bed.namespace.secret("minio", {"accesskey": bed.minio.access_key, "secretkey": bed.minio.secret_key})
    return "--secret", "minio", "--endpoint", bed.minio.in_cluster


def everything(bed) -> str:
    """All that a person or program of the namespace may read, but its Secrets."""
    ns = bed.namespace
    objects = [
        ns.get(plural, root=root)
        for root, plural in (
            ("/api/v1", "pods"), ("/api/v1", "events"), ("/api/v1", "persistentvolumeclaims"), ("/apis/batch/v1", "jobs"),
            ("/api/v1", "configmaps"), ("/apis/apps/v1", "deployments"),
        )
    ]  # fmt: skip
    logs = [ns.kubectl("logs", pod["metadata"]["name"]) for pod in ns.get("pods")]
    return json.dumps([objects, logs])


def test_every_form_pulls_and_its_values_stay_in_the_secret(bed, lading):
    claim = bed.namespace.claim()
    said = []
    for number, form in enumerate((kserve, storage_config, data_connection, plain)):
        dest = f"pvc://models/m{number}"
        look = () if form is storage_config else ("--no-preflight",)  # one pod more for each would tell nothing more
        result = lading("pull", "s3://llm/granite", dest, "--expect", "any", "--format", "json", *look, *form(bed))
        assert result.returncode == 0, f"{form.__name__}: {result.stderr}"
        said.append(result.stdout + result.stderr)
    volume = find.open_volume(claim.path)
    assert [manifest.model for manifest in volume.manifests()] == ["m0", "m1", "m2", "m3"]
    files = [path.read_text(errors="replace") for path in (claim.path / ".lading").rglob("*") if path.is_file()]
    seen = "\n".join([everything(bed), *said, *files])
    for value in (bed.minio.secret_key, bed.minio.access_key):
        assert value not in seen
        assert base64.b64encode(value.encode()).decode() not in seen
