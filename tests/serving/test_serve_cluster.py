"""`lading serve pvc://…` as a person uses it, on the real cluster, with no more rights than are shipped."""

import json
import re

import pytest
from ruamel.yaml import YAML

from lading import wiring
from lading.testing import tiny_llama

pytestmark = [pytest.mark.real("cluster"), pytest.mark.timeout(400)]


@pytest.fixture
def claim(namespace, engine_image, lading, tmp_path):
    """A claim with `tiny` v1 and v2 (current), and `loose`, a folder on no manifest."""
    if "deployment" not in wiring.names("backends"):
        pytest.skip("the backend `deployment` is not installed")
    namespace.allow_serving()
    made = namespace.claim("models", permissions=0o2775)
    for seed in (1, 2):
        tiny_llama.write_gguf(tmp_path / f"{seed}/tiny.gguf", seed=seed)
        done = lading("pull", tmp_path / str(seed), made.path, "--model", "tiny", "--version", f"v{seed}")
        assert done.returncode == 0, done.stderr
    (made.path / "loose").mkdir()
    tiny_llama.write_gguf(made.path / "loose/loose.gguf")
    return made


@pytest.fixture
def serve(lading, engine_image):
    def run(*arguments, **options):
        own = ("--backend", "deployment", "--image", engine_image, "--resources", "cpu=50m", "--resources", "memory=512Mi")
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
    namespace.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", input=printed.stdout)
    assert not namespace.get("deployments", root="/apis/apps/v1")


def test_a_folder_without_a_manifest_is_said_to_be_one(serve, claim):
    """It is served as it is; nobody vouches for its bytes."""
    plan = json.loads(serve("pvc://models/loose", "--dry-run", "--format", "json").stdout)
    assert plan["unmanaged"]
    assert "# loose: not on a manifest, pvc://" in serve("pvc://models/loose", "--output", "yaml").stdout


BAD = {
    "no-such-model": (("pvc://models/tinny",), "did you mean `pvc://models/tiny`?"),
    "no-such-version": (("pvc://models/tiny@v9",), "did you mean"),
    "whole-claim": (("pvc://models",), "pvc://models is a volume, not a model"),
    "no-such-claim": (("pvc://nothing/tiny",), "nothing"),
    "docker's option": (("pvc://models/tiny", "--network", "host"), "--network is nothing that backend deployment knows"),
    "a secret": (("pvc://models/tiny", "--env", "HF_TOKEN=hf_x"), "would show a secret"),
    "other namespace": (("pvc://models/tiny", "--namespace", "elsewhere"), "elsewhere"),
    "this machine": (("models.gguf",), "models.gguf does not exist"),
}


def test_bad_input_is_told_and_nothing_is_applied(serve, claim, namespace):
    """Each with what to do."""
    for case, (arguments, said) in BAD.items():
        done = serve(*arguments)
        assert done.returncode in {1, 2}, (case, done.stdout)
        assert said in done.stderr, (case, done.stderr)
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
