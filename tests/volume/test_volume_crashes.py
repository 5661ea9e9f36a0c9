"""Cut at every single call: each version is wholly there or not at all, and a rerun completes without fetching twice.

Each scenario is run once to count its calls, then cut before each of them (which is after the one before) and after the
last, first with what a SIGKILL leaves, then with what a power failure leaves.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from lading.testing.crashes import CrashingFs, ForgetfulFs, QuickFs, dead_process, dying
from lading.testing.volume import (
    CONTENT,
    OTHER,
    check_whole,
    files_of,
    listed,
    manifest,
    prunable,
    publish,
    transfer,
    write,
)
from lading.volume import find
from lading.volume import journal as journals
from lading.weights import layout

BROKEN = ("config.json", "empty.bin")
CONTENTS = {("tiny", "v1"): CONTENT, ("tiny", "v2"): OTHER, ("tiny", "v3"): OTHER, ("tiny", "v4"): CONTENT}


def quick(root):
    return find.create_volume(root, fs=QuickFs())


def killed(root, act, fs):
    """Run *act* in a process that is dead afterwards, and loses what its file system forgets."""
    with dying():
        act(find.create_volume(root, fs=fs, me=dead_process()))
    if isinstance(fs, ForgetfulFs):
        fs.forget()


@dataclass(frozen=True)
class Scenario:
    """What is there before, what is cut, and what must hold once a rerun completed it."""

    name: str
    setup: Callable
    act: Callable
    done: Callable


def nothing(root):
    del root


def one_version(root):
    publish(quick(root), "tiny", "v1")


def three_versions(root):
    for number, content in ((1, CONTENT), (2, OTHER), (3, OTHER)):
        publish(quick(root), "tiny", f"v{number}", content, at=f"2026-01-0{number}T00:00:00Z")


def half_a_pull(root):
    one_version(root)
    with quick(root).stage("tiny", "v2", transfer(quick(root), "tiny", "v2", OTHER)) as staging:
        write(staging, "config.json", OTHER["config.json"])


def renamed_without_manifest(root):
    """The state between rename and manifest."""
    one_version(root)
    for at in range(1000):
        fs = CrashingFs(at, after=True)
        killed(root, lambda volume: publish(volume, "tiny", "v2", OTHER), fs)
        if (root / "tiny" / "v2").exists():
            assert not (root / ".lading/manifests/tiny/v2.json").exists()
            return
    raise AssertionError("never renamed")


def removed_without_cleaning(root):
    """The state between the manifest's removal and the directory's."""
    three_versions(root)
    for at in range(1000):
        killed(root, lambda volume: volume.remove("tiny", "v1"), CrashingFs(at, after=True))
        if not (root / ".lading/manifests/tiny/v1.json").exists():
            assert (root / "tiny" / "v1").exists()
            return
    raise AssertionError("never removed")


def kubelet_was_first(root):
    quick(root)
    (root / "tiny" / "v1").mkdir(parents=True)


def prune(volume):
    for old in prunable(volume, 1):
        volume.remove(old.model, old.version)


def remove_all(volume):
    for found in list(volume.manifests()):
        if found.version != volume.current("tiny"):
            volume.remove("tiny", found.version)
    for found in list(volume.manifests()):
        volume.remove("tiny", found.version)


def has(*versions, current):
    def check(volume):
        assert listed(volume) == {("tiny", version) for version in versions}
        assert volume.current("tiny") == current

    return check


def is_clean(volume):
    """Nothing is left of anything that was cut."""
    for folder in (layout.INCOMING, layout.JOURNAL, layout.REMOVING):
        assert list((volume.root / folder).iterdir()) == []


def publish_one(volume):
    publish(volume, "tiny", "v1")


def publish_two(volume):
    publish(volume, "tiny", "v2", OTHER)


def publish_shared(volume):
    """What the first version has is taken over from it."""
    old = volume.manifest("tiny", "v1")
    with volume.stage("tiny", "v4", transfer(volume, "tiny", "v4", CONTENT)) as staging:
        for file in old.files:
            if file.path not in staging.finished:
                assert staging.take(old, file, progress=lambda count: None)
        volume.publish(staging, manifest("tiny", "v4", staging.finished, "2026-01-04T00:00:00Z"))


def mend(volume):
    """Put `BROKEN` in place again."""
    found = volume.manifest("tiny", "v1")
    with volume.mend(found, "t") as staging:
        for path in BROKEN:
            if path not in staging.finished:
                write(staging, path, CONTENT[path])
        volume.replace(staging, found, BROKEN)


def publish_unused(volume):
    publish(volume, "tiny", "v2", OTHER, use=False)


SCENARIOS = [
    Scenario("the first publish of a new volume", nothing, publish_one, has("v1", current="v1")),
    Scenario("a publish that kubelet was faster than", kubelet_was_first, publish_one, has("v1", current="v1")),
    Scenario("a second version", one_version, publish_two, has("v1", "v2", current="v2")),
    Scenario("a second version that is not used", one_version, publish_unused, has("v1", "v2", current="v1")),
    Scenario("a version that shares", one_version, publish_shared, has("v1", "v4", current="v4")),
    Scenario("a pull that goes on", half_a_pull, publish_two, has("v1", "v2", current="v2")),
    Scenario("recovery after the rename", renamed_without_manifest, publish_two, has("v1", "v2", current="v2")),
    Scenario("publish again after removal", removed_without_cleaning, publish_one, has("v1", "v2", "v3", current="v1")),
    Scenario("use", three_versions, lambda volume: volume.use("tiny", "v1"), has("v1", "v2", "v3", current="v1")),
    Scenario("remove", three_versions, lambda volume: volume.remove("tiny", "v1"), has("v2", "v3", current="v3")),
    Scenario("prune", three_versions, prune, has("v3", current="v3")),
    Scenario("remove all", three_versions, remove_all, has(current=None)),
    Scenario("sweep a half pull", half_a_pull, lambda volume: volume.sweep(), has("v1", current="v1")),
    Scenario(
        "sweep after the rename", renamed_without_manifest, lambda volume: volume.sweep(), has("v1", current="v1")
    ),
    Scenario(
        "sweep after removal", removed_without_cleaning, lambda volume: volume.sweep(), has("v2", "v3", current="v3")
    ),
]


@pytest.mark.parametrize("forgets", [False, True], ids=["SIGKILL", "power failure"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_cut_at_every_call(tmp_path, scenario, forgets):
    """Wholly published or not listed; `current` never dangles; a rerun completes and leaves no litter."""
    calls = len(counted(tmp_path / "count", scenario))
    assert calls > 10
    template = tmp_path / "template"
    scenario.setup(template)
    for at in range(calls + 1):
        folder = tmp_path / "run"
        (folder / "attic").mkdir(parents=True)
        if template.exists():
            shutil.copytree(template, folder / "volume", symlinks=True)
            _same_inodes(template, folder / "volume")
        fs = ForgetfulFs(at, attic=folder / "attic") if forgets else CrashingFs(at)
        killed(folder / "volume", scenario.act, fs)
        assert fs.dead == (at < calls)
        completes(folder / "volume", scenario, f"cut before call {at} of {calls}, {fs.calls[-1]}")
        shutil.rmtree(folder)


@pytest.mark.parametrize("forgets", [False, True], ids=["SIGKILL", "power failure"])
def test_a_repair_cut_at_every_call(tmp_path, forgets):
    """Each file is broken as it was, or right; what is sound stays; a rerun completes and leaves no litter."""

    def broken(root):
        one_version(root)
        (root / "tiny" / "v1" / "config.json").write_bytes(b"rotten")
        (root / "tiny" / "v1" / "empty.bin").unlink()

    scenario = Scenario("repair", broken, mend, has("v1", current="v1"))
    calls = len(counted(tmp_path / "count", scenario))
    for at in range(calls + 1):
        folder = tmp_path / "run"
        (folder / "attic").mkdir(parents=True)
        broken(folder / "volume")
        fs = ForgetfulFs(at, attic=folder / "attic") if forgets else CrashingFs(at)
        killed(folder / "volume", mend, fs)
        left = files_of(folder / "volume" / "tiny" / "v1")
        assert left.pop("config.json") in {b"rotten", CONTENT["config.json"]}, fs.calls[-1]
        assert left.pop("empty.bin", b"") == b""
        assert left == {"sub/dir/weights.bin": CONTENT["sub/dir/weights.bin"]}
        completes_repair(folder / "volume", scenario)
        shutil.rmtree(folder)


def completes_repair(root, scenario):
    volume = quick(root)
    mend(volume)
    scenario.done(volume)
    check_whole(volume, CONTENTS)
    is_clean(volume)


def counted(folder, scenario):
    """The names of the scenario's calls."""
    folder.mkdir()
    scenario.setup(folder / "volume")
    fs = CrashingFs()
    killed(folder / "volume", scenario.act, fs)
    return fs.calls


def completes(root, scenario, where):
    """Check what was left, run it again, check what it gave."""
    try:
        if (root / layout.VOLUME).exists():
            check_whole(find.open_volume(root), CONTENTS)
        volume = quick(root)
        scenario.act(volume)
        scenario.done(volume)
        check_whole(volume, CONTENTS)
        volume.sweep()
        scenario.done(volume)
        check_whole(volume, CONTENTS)
        is_clean(volume)
    except BaseException as error:
        error.add_note(where)
        raise


def _same_inodes(template, copy):
    """The journal's intent names a directory by inode: tell the copy its own."""
    for path in (copy / layout.JOURNAL).glob("*.jsonl"):
        facts = journals.read(path)
        if facts.inode is not None:
            final = copy / facts.published_path
            path.write_text(path.read_text().replace(str(facts.inode), str(final.stat().st_ino)))


@pytest.mark.parametrize("forgets", [False, True], ids=["SIGKILL", "power failure"])
def test_what_was_journalled_is_never_fetched_again(tmp_path, forgets):
    """Counted at every call of a pull of five files, by the bytes that the rerun asks for."""
    content = {f"part-{number}": bytes([number]) * 100 for number in range(5)}
    volumes = iter(range(10_000))
    calls, spared = None, 0
    at = 0
    while calls is None or at < calls:
        folder = tmp_path / str(next(volumes))
        (folder / "attic").mkdir(parents=True)
        root = folder / "volume"
        quick(root)
        fs = (ForgetfulFs(at, attic=folder / "attic") if forgets else CrashingFs(at)) if calls else CrashingFs()
        killed(root, lambda volume: publish(volume, "tiny", "v1", content), fs)
        if calls is None:
            calls = len(fs.calls)
            continue
        journal = root / layout.journal(transfer(quick(root), "tiny", "v1", content))
        journalled = set(journals.read(journal).finished)
        published = (root / layout.manifest("tiny", "v1")).exists()
        fetched = publish(quick(root), "tiny", "v1", content)
        assert set(fetched) == (set() if published else set(content) - journalled), fs.calls[-1]
        spared += len(content) - len(fetched)
        at += 1
    assert spared > calls


def test_readers_never_see_a_half_published_version(tmp_path):
    """A reader that looks after each call of three publishes and a removal sees whole versions only."""

    class Watching(QuickFs):
        pass

    def watched(name):
        real = getattr(QuickFs, name)

        def call(self, *arguments):
            result = real(self, *arguments)
            if (tmp_path / "volume" / layout.VOLUME).exists():
                check_whole(find.open_volume(tmp_path / "volume"), CONTENTS)
            return result

        return call

    for name in ("mkdir", "rmdir", "unlink", "rename", "symlink", "create", "append", "write"):
        setattr(Watching, name, watched(name))
    volume = find.create_volume(tmp_path / "volume", fs=Watching())
    for version in ("v1", "v2", "v3"):
        publish(volume, "tiny", version, CONTENTS["tiny", version])
    volume.use("tiny", "v1")
    volume.remove("tiny", "v2")
    remove_all(volume)
    assert listed(volume) == set()
