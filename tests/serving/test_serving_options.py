"""Options of a backend: the same on the command line and in a study, each refused by name where it means nothing."""

import pytest

from lading import wiring
from lading.cli.serving_options import ServingOptions
from lading.errors import InvalidInput
from lading.spec.study import OPTIONS, BackendChoice, foreign_options
from lading.volume import servable
from lading.wiring import servers, serving

GIVEN = {
    "port": 8000, "env": ("A=b",), "python": "/p", "image": "i", "gpus": "2", "network": "host", "namespace": "n",
    "context": "c", "resources": ("cpu=4",), "node_selector": ("a=b",), "toleration": ("gpu=yes:NoSchedule",),
    "service_account": "s", "runtime": "r", "mode": "Knative",
}  # fmt: skip
KINDS = ("process", "docker", "deployment", "kserve")


def test_every_option_says_which_backends_know_it():
    assert set(OPTIONS) == set(BackendChoice.model_fields) - {"kind"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", GIVEN)
def test_an_option_is_taken_by_the_backends_that_know_it_and_refused_by_name_elsewhere(option, kind):
    field = {"toleration": "tolerations"}.get(option, option)
    options = ServingOptions(**{option: GIVEN[option]})
    if kind in OPTIONS[field]:
        made = options.choice(kind, offered=KINDS)
        assert getattr(made, field) != getattr(BackendChoice(), field)
        assert foreign_options(made) == {}
    else:
        with pytest.raises(
            InvalidInput, match=f"--{option.replace('_', '-')} is nothing that backend {kind}"
        ) as raised:
            options.choice(kind, offered=KINDS)
        assert raised.value.hint.endswith(f"--backend {OPTIONS[field][-1]}")


def test_a_toleration_is_as_a_pod_has_it():
    texts = ("a=b:NoSchedule", "c")
    assert ServingOptions(toleration=texts).choice("kserve", offered=KINDS).tolerations == (
        {"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"}, {"key": "c", "operator": "Exists"},
    )  # fmt: skip


def test_a_study_is_held_to_the_same():
    with pytest.raises(InvalidInput, match="backend process does not know image"):
        wiring.backend(BackendChoice(kind="process", image="x"))


async def test_a_backend_that_cannot_be_asked_is_kept_beside_the_others(monkeypatch, tmp_path):
    """Here the cluster; what it says is told, and this machine's servers are there."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    seen = await servers.everywhere(kinds=("deployment", "process"))
    assert [one.kind for one in seen.unreached] == ["deployment"]
    assert "no kubeconfig" in seen.unreached[0].error.message
    assert [kind for kind, _ in seen.backends] == ["process"]
    with pytest.raises(InvalidInput, match="no server is called x") as raised:
        raise servers.unknown(["x"], seen)
    assert "deployment could not be asked" in raised.value.hint


@pytest.mark.parametrize(
    ("source", "dest", "model", "served"),
    [
        ("hf://Org/Tiny-Chat@main", "pvc://models", "tiny-chat", "pvc://models/tiny-chat"),
        ("https://host/m/Tiny.Q4.gguf?token=x", "pvc://ns:models", "tiny.q4", "pvc://ns:models/tiny.q4"),
        ("s3://bucket/llm/granite-7b/", "pvc://models/mine", "mine", "pvc://models/mine"),
        ("pvc://a/org/tiny@v1", "pvc://b", "org/tiny", "pvc://b/org/tiny"),
    ],
)
def test_what_is_pulled_first_is_served_from_where_it_came_to(source, dest, model, served):
    from lading.spec import ref as refs

    assert serving.pulled_as(refs.parse(source), refs.parse(dest)) == (model, served)


def test_the_version_of_a_path_is_that_of_its_manifest(lading, tiny_gguf, tmp_path):
    done = lading("pull", tiny_gguf.parent, tmp_path / "volume", "--model", "org/tiny", "--version", "v1")
    assert done.returncode == 0, done.stderr
    path = tmp_path / "volume/org/tiny/v1"
    assert serving.version_of(str(path)) == serving.version_of(str(path / "tiny.gguf")) == "org/tiny@v1"
    assert serving.version_of(str(tmp_path / "volume/elsewhere")) is None
    assert serving.version_of(str(tiny_gguf)) is None


def test_a_model_of_any_volume_is_what_it_is_as_a_folder(lading, tiny_gguf, tmp_path):
    """Read through the volume's own door alone."""
    from lading.volume import find

    done = lading("pull", tiny_gguf.parent, tmp_path / "volume", "--model", "tiny", "--version", "v1")
    assert done.returncode == 0, done.stderr
    volume = find.open_volume(tmp_path / "volume")
    found = servable.on_volume(find.Found(volume=volume, model="tiny"))
    assert found.facts == servable.servable(find.LocalRef(path=str(tmp_path / "volume/tiny"))).facts
    assert (found.within, found.manifest.version, servable.file_for(found, "llama.cpp")) == (
        "tiny/v1",
        "v1",
        "tiny.gguf",
    )
    (tmp_path / "volume/loose").mkdir()
    (tmp_path / "volume/loose/m.gguf").write_bytes(tiny_gguf.read_bytes())
    loose = servable.on_volume(find.Found(volume=volume, model="loose"))
    assert loose.unmanaged
    assert loose.facts == found.facts
