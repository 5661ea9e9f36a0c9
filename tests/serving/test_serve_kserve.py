"""`lading serve pvc://…` where the cluster has KServe, with its real controller: chosen without being named, and said."""

import json

import pytest

pytestmark = [pytest.mark.real("kserve"), pytest.mark.timeout(400)]


def test_kserve_is_chosen_where_it_is_there_and_its_service_is_found_by_name(
    lading, kserve, claim, namespace, engine_image
):
    """Serve, list, ask, stop: as on every backend."""
    served = lading("serve", "pvc://models/tiny@v1", "--name", "one", "--image", engine_image, "--set", "n_ctx=512",
                    "--resources", "cpu=50m", "--resources", "memory=512Mi", "--deadline", "4m", timeout=300)  # fmt: skip
    assert served.returncode == 0, served.stderr
    assert "backend kserve: the cluster has KServe's InferenceService" in served.stderr

    row = json.loads(lading("serve", "--list", "--format", "json").stdout)
    assert (row["name"], row["backend"], row["state"]) == ("one", "kserve", "runs")
    assert row["model"] == f"pvc://{namespace.name}:models/tiny/v1"

    answer = lading("ask", "one", "Hello", "--max-tokens", "4", "--format", "json")
    assert json.loads(answer.stdout)["model"] == "tiny", answer.stderr

    asked = lading("stop", "--all")
    assert asked.returncode == 2
    assert f"  one  kserve ({namespace.name}), serves tiny, runs\n" in asked.stderr
    assert lading("stop", "--all", "--yes").stdout == "one is stopped\n"
    assert not namespace.get("inferenceservices", root="/apis/serving.kserve.io/v1beta1")
