"""A claim that is mounted on this machine is used where it is: no cluster is asked."""

import pytest

from lading.errors import InvalidReference, VolumeError
from lading.manifests import ours
from lading.spec import ref as refs
from lading.spec.placement import Choice
from lading.volume import find
from lading.wiring import claims

NOBODY = Choice(kubeconfig=None, context="none")


@pytest.fixture
def volume(tmp_path):
    """A volume that says that it is claim `models` in namespace `demo`."""
    return find.create_volume(tmp_path / "volume", claim="models", namespace="demo").root


@pytest.mark.parametrize(
    ("written", "namespace", "is_here"),
    [
        ("pvc://models", None, True),
        ("pvc://demo:models", None, True),
        ("pvc://models", "demo", True),
        ("pvc://models", "other", False),
        ("pvc://other:models", "demo", False),
        ("pvc://elsewhere", None, False),
    ],
)
def test_the_volume_s_own_word_decides(volume, written, namespace, is_here):
    found = claims.mounted(refs.parse(written), namespace, {claims.MOUNTED_VARIABLE: str(volume)})
    assert found == (volume if is_here else None)


def test_a_folder_that_is_no_volume_or_of_no_claim_is_not_believed(tmp_path, volume):
    ref = refs.parse("pvc://models")
    assert claims.mounted(ref, None, {}) is None
    assert claims.mounted(ref, None, {claims.MOUNTED_VARIABLE: str(tmp_path)}) is None
    assert claims.mounted(ref, None, {ours.CLAIM_VARIABLE: "models"}) is None  # nothing is mounted there
    plain = find.create_volume(tmp_path / "plain").root
    assert claims.mounted(ref, None, {claims.MOUNTED_VARIABLE: str(plain)}) is None
    (plain / ".lading" / "volume.json").write_text("[]")
    assert claims.mounted(ref, None, {claims.MOUNTED_VARIABLE: str(plain)}) is None


def test_it_is_opened_with_model_and_version(volume, monkeypatch):
    monkeypatch.setenv(claims.MOUNTED_VARIABLE, str(volume))
    with claims.opened("pvc://models/tiny@v1", NOBODY, write=True) as found:
        assert (found.volume.root, found.model, found.version) == (volume, "tiny", "v1")


async def test_a_folder_is_opened_as_ever(volume, tmp_path):
    async with claims.reached(f"{volume}/tiny", NOBODY, write=False) as found:
        assert (found.volume.root, found.model) == (volume, "tiny")
    with pytest.raises(VolumeError, match="is not a volume"):
        claims.here(str(tmp_path), NOBODY)
    with pytest.raises(InvalidReference, match="neither a folder nor a claim"):
        claims.here("s3://bucket/model", NOBODY)
