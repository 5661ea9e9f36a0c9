"""`lading serve pvc://…` as a person uses it, on the real cluster, with no more rights than are shipped."""

import json
import re

import pytest
from ruamel.yaml import YAML

pytestmark = [pytest.mark.real("cluster"), pytest.mark.timeout(400)]


@pytest.fixture
def serve(lading, engine_image):
    def run(*arguments, **options):
        own = (
            "--backend",
            "deployment",
            "--image",
            engine_image,
            "--resources",
            "cpu=50m",
            "--resources",
            "memory=512Mi",
        )
        return lading("serve", *arguments, *own, timeout=300, **options)

    return run


def test_a_model_on_a_claim_is_served_listed_asked_and_stopped_by_name(lading, serve, claim, namespace):
    """The version is pinned, though only the model was named."""
    served = serve("pvc://models/tiny", "--set", "n_ctx=512", "--deadline", "3m")
    assert served.returncode == 0, served.stderr
    assert re.match(r"tiny answers at http://\S+/v1, inside the cluster, after ", served.stdout)
    assert "engine llama.cpp: the model is gguf" in served.stderr
    assert "not on a manifest" not in served.stderr

    listed = [json.loads(line) for line in lading("serve", "--list", "--format", "json").stdout.splitlines()]
    (row,) = listed
    assert (row["name"], row["backend"], row["place"], row["state"]) == ("tiny", "deployment", namespace.name, "runs")
    assert row["model"] == f"pvc://{namespace.name}:models/tiny/v2"
    assert (row["engine"], row["served_name"], row["reach"]) == ("llama.cpp", "tiny", "cluster")

    answer = lading("ask", "tiny", "Hello", "--max-tokens", "4", "--format", "json")
    assert json.loads(answer.stdout)["model"] == "tiny", answer.stderr
    measured = lading("bench", "tiny")
    assert "through a port-forward" in measured.stderr

    stopped = lading("stop", "tiny")
    assert (stopped.returncode, stopped.stdout) == (0, "tiny is stopped\n")
    assert not namespace.get("deployments", root="/apis/apps/v1")
    assert lading("stop", "tiny").returncode == 2


def test_a_dry_run_prints_argv_and_objects_and_applies_nothing(serve, claim, namespace):
    """As YAML they are what `kubectl apply` takes."""
    plan = json.loads(serve("pvc://models/tiny@v1", "--dry-run", "--format", "json").stdout)
    assert plan["backend"] == "deployment"
    assert plan["model"] == "tiny/v1/tiny.gguf"
    assert "/mnt/models/tiny.gguf" in plan["argv"]
    assert [one["kind"] for one in plan["objects"]] == ["Service", "Deployment"]
    shown = serve("pvc://models/tiny@v1", "--dry-run")
    assert "--model /mnt/models/tiny.gguf" in shown.stdout
    assert "kind: Deployment" in shown.stdout

    printed = serve("pvc://models/tiny@v1", "--output", "yaml")
    assert printed.returncode == 0, printed.stderr
    documents = list(YAML(typ="safe", pure=True).load_all(printed.stdout))
    assert documents == plan["objects"]
    assert "# tiny: tiny@v1, pvc://" in printed.stdout
    namespace.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=printed.stdout)
    assert not namespace.get("deployments", root="/apis/apps/v1")


def test_a_folder_without_a_manifest_is_said_to_be_one(serve, claim):
    """It is served as it is; nobody vouches for its bytes."""
    plan = json.loads(serve("pvc://models/loose", "--dry-run", "--format", "json").stdout)
    assert plan["unmanaged"]
    assert "# loose: not on a manifest, pvc://" in serve("pvc://models/loose", "--output", "yaml").stdout


SAID = {
    "docker's option": (
        ("pvc://models/tiny", "--network", "host"),
        "--network is nothing that backend deployment knows",
    ),
    "a secret": (("pvc://models/tiny", "--env", "HF_TOKEN=hf_x"), "would show a secret"),
    "no GPUs": (("pvc://models/tiny", "--gpus", "many"), "--gpus many is no number of GPUs"),
    "no quantity": (("pvc://models/tiny", "--resources", "cpu=lots"), "--resources cpu=lots is not NAME=QUANTITY"),
    "no taint": (("pvc://models/tiny", "--toleration", "=x"), "--toleration =x is not KEY"),
    "this machine": (("models.gguf",), "models.gguf does not exist"),
    "a source": (("hf://org/model",), "lading serve hf://org/model --pull"),
}


@pytest.mark.parametrize("case", SAID)
def test_what_no_cluster_is_needed_for_is_said_without_one(lading, case):
    """Each with what to do."""
    arguments, said = SAID[case]
    done = lading("serve", *arguments, "--backend", "deployment", env={"KUBECONFIG": "/nothing"})
    assert done.returncode in {1, 2}, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_not_there_is_told_and_nothing_is_applied(serve, claim, namespace):
    """By the claim itself, as it is named there."""
    for reference, said in (
        ("pvc://models/tinny", "did you mean `pvc://models/tiny`?"),
        ("pvc://models", "pvc://models is a volume, not a model"),
        ("pvc://nothing/tiny", "nothing"),
    ):
        done = serve(reference)
        assert done.returncode in {1, 2}, done.stdout
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert not namespace.get("deployments", root="/apis/apps/v1")


def test_a_cluster_that_does_not_answer_never_hides_what_runs_here(lading, tmp_path):
    """It is a warning, and the list is there."""
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "x", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }  # fmt: skip
    (tmp_path / "config").write_text(json.dumps(document))
    done = lading("serve", "--list", env={"KUBECONFIG": str(tmp_path / "config")})
    assert done.returncode == 0
    assert "warning: deployment could not be asked" in done.stderr
    assert "(asked: process" in done.stderr
