"""Network file systems by their rules: lost answers of renames, stale handles, names that are seen late."""

import errno
import os

import pytest

from lading.errors import ModelBusy, NotPublished, VolumeError
from lading.testing.volume import OTHER, publish
from lading.volume import find, lock, network
from lading.volume.fs import Fs
from lading.volume.lock import Process


class LosesAnAnswer(Fs):
    """The first rename to *name* is done, and told to have failed: NFS asked twice."""

    def __init__(self, name, error):
        self.name, self.error = name, error

    def rename(self, old, new):
        super().rename(old, new)
        if new.name == self.name:
            self.name = None
            raise OSError(self.error, os.strerror(self.error), str(new))


@pytest.mark.parametrize("error", [errno.ENOENT, errno.ENOTEMPTY])
def test_a_lock_whose_answer_was_lost_is_held(tmp_path, error):
    with lock.held(LosesAnAnswer("tiny", error), tmp_path / "tiny", "tiny", me=Process.this()) as held:
        held.check()
        with pytest.raises(ModelBusy), lock.held(Fs(), tmp_path / "tiny", "tiny", me=Process.this()):
            pass
    assert not (tmp_path / "tiny").exists()


def test_what_goes_stale_is_opened_again():
    answers = [OSError(errno.ESTALE, "stale"), OSError(errno.ESTALE, "stale"), b"new"]

    def read():
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    assert network.fresh(read) == b"new"
    answers += [PermissionError(errno.EACCES, "no"), b"never"]
    with pytest.raises(PermissionError):
        network.fresh(read)


def test_a_name_is_looked_for_again_where_it_may_be_seen_late(tmp_path, monkeypatch):
    """And not elsewhere: a misspelt one is told at once."""
    volume = find.create_volume(tmp_path / "volume")
    publish(volume, "tiny", "v1", OTHER)
    looks = []

    def late(root, model, version):
        looks.append(version)
        return found if len(looks) > 2 else None

    found = volume.manifest("tiny", "v1")
    monkeypatch.setattr("lading.volume.manifests.one", late)
    with pytest.raises(NotPublished):
        volume.manifest("tiny", "v1")
    assert len(looks) == 1
    monkeypatch.setattr(network, "shows_names_late", lambda root: True)
    assert volume.manifest("tiny", "v1") == found
    assert len(looks) == 3


def test_the_file_system_of_a_folder_is_that_of_its_nearest_mount():
    assert not network.shows_names_late("/proc/self")


def test_one_file_system_is_asked_for_where_a_rename_leaves_it(tmp_path):
    """As CephFS says between two quotas."""

    class Apart(Fs):
        def rename(self, old, new):
            if new.name == "v1":
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            super().rename(old, new)

    volume = find.create_volume(tmp_path / "volume", fs=Apart())
    with pytest.raises(VolumeError) as refused:
        publish(volume, "tiny", "v1", OTHER)
    assert "one file system" in (refused.value.hint or "")
    assert publish(find.open_volume(volume.root), "tiny", "v1", OTHER) == [], "what was fetched is kept"
