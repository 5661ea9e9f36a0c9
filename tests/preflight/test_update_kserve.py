"""An InferenceService of KServe's real controller is stopped for a pull by KServe's own switch, and is back after it."""

import pytest
from tests.bed.test_kserve import is_ready, runtime, service
from tests.testbed.api import wait

from lading.volume import find

pytestmark = pytest.mark.real("kserve")
_ROOT = "/apis/serving.kserve.io/v1beta1"


def test_an_inference_service_makes_room_and_serves_the_new_version(kserve, bed, lading):
    def pull(*options):
        argv = ("pull", "s3://llm/granite", "pvc://models/granite", "--expect", "any", "--secret", "s3")
        return lading(*argv, "--endpoint", bed.minio.in_cluster, *options)

    claim = bed.namespace.claim(modes=("ReadWriteOncePod",))
    bed.namespace.secret("s3", bed.keys)
    assert pull("--no-preflight").returncode == 0
    bed.namespace.apply(runtime("docker.io/testbed/base:1"))
    document = service()
    document["spec"]["predictor"]["model"]["storageUri"] = "pvc://models/granite/current"
    bed.namespace.apply(document)
    wait("it serves", lambda: is_ready(bed.namespace))
    bed.minio.client().put_object(Bucket="llm", Key="granite/weights.bin", Body=b"n" * 50_000)
    refused = pull()
    assert "InferenceService tiny" in refused.stderr
    assert "--during-update scale" in refused.stderr
    result = pull("--during-update", "scale", "--yes")
    assert result.returncode == 0, result.stderr
    assert "stopping InferenceService tiny" in result.stderr
    assert len(list(find.open_volume(claim.path).manifests())) == 2
    assert is_ready(bed.namespace)
    annotations = bed.namespace.get("inferenceservices", "tiny", root=_ROOT)["metadata"]["annotations"]
    assert "serving.kserve.io/stop" not in annotations
