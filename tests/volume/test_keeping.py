"""Where a folder is a claim: its root is adopted as the volume it is, and who loads what is asked of its cluster."""

from pathlib import Path

from lading.spec.placement import Choice
from lading.testing.volume import adoption, loose
from lading.volume import find
from lading.wiring import pointing, volumes


def test_the_root_of_a_mount_is_a_volume_of_its_own(tmp_path, monkeypatch):
    """Weights that were put at a claim's root stay there; nothing is made outside."""
    loose(tmp_path / "models", {"model.joblib": b"x"})
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path / "models")
    place = volumes.adoptable(
        volumes.Place(volume=find.open_or_empty(tmp_path / "models"), path=".", made=False), "models"
    )
    assert (place.path, place.volume.root) == (".", tmp_path / "models")
    listed = place.volume.adopt(adoption(".", "granite"), progress=lambda count: None)
    assert [file.path for file in listed.files] == ["model.joblib"]
    assert not (tmp_path / ".lading").exists()


def test_another_folder_makes_the_one_it_lies_in_a_volume(tmp_path):
    loose(tmp_path / "models" / "Granite", {"model.joblib": b"x"})
    empty = volumes.Place(volume=find.open_or_empty(tmp_path / "models" / "Granite"), path=".", made=False)
    place = volumes.adoptable(empty, "Granite")
    assert (place.path, place.volume.root) == ("Granite", tmp_path / "models")


def test_a_mounted_claim_whose_cluster_cannot_be_asked_says_so(tmp_path):
    """A plain folder is asked of nobody."""
    find.create_volume(tmp_path / "plain")
    find.create_volume(tmp_path / "mounted", claim="models", namespace="demo")
    nowhere = Choice(kubeconfig=tmp_path / "nowhere.yaml")
    assert pointing.users(str(tmp_path / "plain"), nowhere) is None
    found = pointing.users(str(tmp_path / "mounted"), nowhere)
    assert found is not None
    assert (found.found, len(found.unknown)) == ((), 1)
    assert found.unknown[0].startswith("this is pvc://demo:models, and its cluster could not be asked: ")
