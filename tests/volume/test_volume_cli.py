"""The volume's commands, as a person runs them: what they print, what they refuse, what they leave."""

import json
import os
import pty
import subprocess

import pytest
from tests.testbed import golden

from lading.testing.volume import CONTENT, OTHER, listed, loose, publish, transfer, write
from lading.volume import find

SAFETENSORS = (58).to_bytes(8, "little") + b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'.ljust(58) + b"1234"


@pytest.fixture
def volume(tmp_path):
    """`tiny` v1 to v3, v2 current; `org/other` v1; an interrupted pull."""
    volume = find.create_volume(tmp_path / "vol")
    for number, content in enumerate((CONTENT, OTHER, OTHER), 1):
        publish(volume, "tiny", f"v{number}", content, at=f"2026-01-0{number}T00:00:00Z")
    volume.use("tiny", "v2")
    publish(volume, "org/other", "v1", OTHER)
    with volume.stage("left", "v1", transfer(volume, "left", "v1", OTHER)) as staging:
        write(staging, "half.bin", b"x" * 1000)
    return volume


@pytest.fixture
def ran(lading, tmp_path):
    """Run it in the volume's parent folder, which the output must not name."""

    def run(*arguments):
        done = lading(*arguments, cwd=tmp_path)
        done.stdout = done.stdout.replace(str(tmp_path), "HERE")
        done.stderr = done.stderr.replace(str(tmp_path), "HERE")
        return done

    return run


def documents(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_ls_lists_models_and_versions(ran, volume):
    done = ran("ls", "vol")
    assert done.stdout.splitlines() == [
        "model\tversion\tcurrent\tsize\tfiles\tformat\tpublished\tsource",
        "org/other\tv1\t*\t3 B\t1\tfiles\t2026-01-01T00:00:00Z\ttest",
        "tiny\tv1\t\t10.2 kB\t3\tfiles\t2026-01-01T00:00:00Z\ttest",
        "tiny\tv2\t*\t3 B\t1\tfiles\t2026-01-02T00:00:00Z\ttest",
        "tiny\tv3\t\t3 B\t1\tfiles\t2026-01-03T00:00:00Z\ttest",
    ]
    assert [row["version"] for row in documents(ran("ls", "vol/tiny", "--format", "json"))] == ["v1", "v2", "v3"]


def test_show_shows_the_current_version(ran, volume):
    done = ran("show", "vol/tiny")
    assert done.stdout.startswith("tiny@v2: files, 1 file, 3 B, the current version\n  directory  HERE/vol/tiny/v2\n")
    [document] = documents(ran("show", "vol/tiny@v1", "--format", "json"))
    assert document["digest"] == volume.manifest("tiny", "v1").digest
    assert {file["path"] for file in document["files"]} == set(CONTENT)


def test_sha256sums_are_taken_by_the_real_program(ran, volume):
    directory = volume.directory(volume.manifest("tiny", "v1"))
    sums = ran("show", "vol/tiny@v1", "--sha256sums").stdout

    def checked():
        return subprocess.run(
            ["sha256sum", "-c", "-"], cwd=directory, input=sums, capture_output=True, text=True, check=False
        )

    assert checked().returncode == 0
    assert checked().stdout.count(": OK\n") == len(CONTENT)
    (directory / "config.json").write_bytes(b"[]")
    assert "config.json: FAILED" in checked().stdout


def test_verify_passes_what_is_sound_and_names_what_is_not(ran, volume):
    assert ran("verify", "vol").stdout.count("is what its manifest says") == 4
    (volume.directory(volume.manifest("tiny")) / "config.json").write_bytes(b"{2}")
    (volume.directory(volume.manifest("tiny", "v1")) / ".x.pkl").write_bytes(b"")
    golden.check("volume", "verify-bad", golden.said(ran("verify", "vol/tiny")))
    golden.check("volume", "verify-all-bad", golden.said(ran("verify", "vol")))
    lines = [json.loads(line) for line in ran("verify", "vol/tiny", "--format", "json").stdout.splitlines()]
    assert [line["event"] for line in lines] == ["file_bad", "verified"]


def test_use_switches(ran, volume):
    assert ran("use", "vol/tiny@v3").stdout == "tiny@v3 is now the current version, before: v2\n"
    assert ran("use", "vol/tiny@v3").stdout == "tiny@v3 is already the current version\n"
    assert volume.current("tiny") == "v3"


def test_rm_removes_a_version_or_a_model(ran, volume):
    assert ran("rm", "vol/tiny@v1", "--dry-run").stdout == "would remove tiny@v1, 10.2 kB\n"
    assert ("tiny", "v1") in listed(volume)
    assert ran("rm", "vol/tiny@v1", "--yes").stdout == "removed tiny@v1, 10.2 kB\n"
    assert [row["version"] for row in documents(ran("rm", "vol/tiny", "--yes", "--format", "json"))] == ["v3", "v2"]
    assert listed(volume) == {("org/other", "v1")}
    assert not (volume.root / "tiny").exists()


def test_prune_removes_old_versions_and_leftovers_as_its_dry_run_said(ran, volume):
    asked = ["prune", "vol", "--keep", "1", "--format", "json"]
    young = [document for document in documents(ran(*asked, "--dry-run")) if "removed" in document]
    assert [document["removed"] for document in young] == ["version"], "a pull that was interrupted a moment ago stays"
    [left] = volume.leftovers()
    age(volume.root / ".lading")
    said = documents(ran(*asked, "--dry-run"))
    planned = [document for document in said if "removed" in document]
    assert len(listed(volume)) == 4
    done = [document for document in documents(ran(*asked, "--yes")) if "removed" in document]
    assert [{**document, "dry_run": True} for document in done] == planned
    assert [(document["removed"], document["model"], document["version"]) for document in done] == [
        ("version", "tiny", "v1"),
        ("staging", "left", "v1"),
    ]
    assert [document["path"] for document in planned] == ["tiny/v1", f"HERE/vol/{left.path.relative_to(volume.root)}"]
    assert {(document["model"], document["version"]): document["why"] for document in said if "kept" in document} == {
        ("org/other", "v1"): "it is the current version",
        ("tiny", "v2"): "it is the current version",
        ("tiny", "v3"): "it is the newest",
    }
    assert listed(volume) == {("tiny", "v2"), ("tiny", "v3"), ("org/other", "v1")}
    assert volume.leftovers() == ()
    assert ran("prune", "vol", "--yes").stdout == "nothing to remove\n"


def test_prune_keeps_what_is_younger_than_it_was_told(ran, volume):
    kept = ran("prune", "vol/tiny", "--keep", "1", "--older-than", "36500d", "--yes")
    assert kept.stdout == "nothing to remove\n"
    assert "tiny@v1 stays: it was published less than 36500 d 0 h ago\n" in kept.stderr
    done = ran("prune", "vol", "--keep", "1", "--older-than", "0.001s", "--yes")
    assert done.stdout.splitlines() == ["removed tiny@v1, 10.2 kB", "removed left@v1 (interrupted pull), 1.00 kB"]


def test_on_a_terminal_prune_only_says_what_it_would_do(lading_argv, volume, tmp_path):
    before = everything(tmp_path)
    main, terminal = pty.openpty()
    done = subprocess.run(
        [*lading_argv, "prune", "vol", "--keep", "1"], stdin=terminal, cwd=tmp_path, capture_output=True, text=True,
        check=True, timeout=60,
    )  # fmt: skip
    os.close(main)
    os.close(terminal)
    assert done.stdout == "would remove tiny@v1, 10.2 kB\n"
    assert done.stderr.endswith("nothing was removed; to do it: lading prune vol --keep 1 --yes\n")
    assert everything(tmp_path) == before


def age(folder):
    """Make all in *folder* look a day old."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 86400), follow_symlinks=False)


def test_a_quick_look_finds_what_names_sizes_and_heads_show(ran, volume):
    """And no changed bytes: it says so."""
    content = {"config.json": b"{}", "model.safetensors": SAFETENSORS, "tokenizer.json": b"{}"}
    publish(volume, "hub", "v1", content, kind="huggingface")
    folder = volume.root / "hub" / "v1"
    (folder / "model.safetensors").write_bytes(SAFETENSORS[:-1] + b"x")
    quick = ran("verify", "vol/hub", "--quick")
    said = "hub@v1 looks as its manifest says: 3 files, by names, sizes and heads; their bytes were not read\n"
    assert (quick.stdout, quick.stderr) == (said, "")
    (folder / "model.safetensors").write_bytes(b"x" * len(SAFETENSORS))
    [bad, verified] = [
        json.loads(line) for line in ran("verify", "vol/hub", "--quick", "--format", "json").stdout.splitlines()
    ]
    assert (bad["path"], bad["problem"], verified["quick"]) == ("model.safetensors", "head", True)
    (folder / "model.safetensors").write_bytes(SAFETENSORS[:-1])
    (folder / "tokenizer.json").unlink()
    (folder / "generation_config.json").write_bytes(b"{}")
    (folder / "model-2.safetensors").write_bytes(b"{}")
    golden.check("volume", "verify-quick", golden.said(ran("verify", "vol/hub", "--quick")))


BAD = {
    "ls-missing": ["ls", "nowhere"],
    "ls-no-volume": ["ls", "."],
    "ls-claim": ["ls", "pvc://claim/tiny", "--kubeconfig", "nowhere.yaml"],
    "ls-unknown-model": ["ls", "vol/tyni"],
    "show-volume": ["show", "vol"],
    "show-unknown-version": ["show", "vol/tiny@v9"],
    "show-bad-name": ["show", "vol/Tiny"],
    "verify-unknown": ["verify", "vol/tinny"],
    "verify-no-threads": ["verify", "vol/tiny", "--threads", "0"],
    "use-no-version": ["use", "vol/tiny"],
    "use-unknown-version": ["use", "vol/tiny@v9"],
    "rm-nobody-to-ask": ["rm", "vol/tiny@v1"],
    "rm-current": ["rm", "vol/tiny@v2", "--yes"],
    "rm-unknown": ["rm", "vol/tiny@v9", "--yes"],
    "rm-volume": ["rm", "vol", "--yes"],
    "prune-nobody-to-ask": ["prune", "vol", "--keep", "1"],
    "prune-keep-nothing": ["prune", "vol", "--keep", "0", "--yes"],
    "prune-version": ["prune", "vol/tiny@v1", "--yes"],
    "cat-unknown-file": ["cat", "vol/tiny@v1", "confg.json"],
    "cat-hostile": ["cat", "vol", "../../etc/passwd"],
    "cat-ours": ["cat", "vol", ".lading/volume.json"],
    "adopt-nothing": ["adopt", "vol/missing"],
    "adopt-published": ["adopt", "vol/tiny/v1"],
    "du-model": ["du", "vol/tiny"],
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_a_clear_sentence_and_changes_nothing(ran, volume, tmp_path, case):
    before = everything(tmp_path)
    done = ran(*BAD[case])
    golden.check("volume", case, golden.said(done))
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    ("case", "path", "text"),
    [
        ("newer-layout", ".lading/volume.json", '{"layout": 2}'),
        ("damaged-volume", ".lading/volume.json", "{"),
        ("newer-manifest", ".lading/manifests/tiny/v1.json", '{"manifest_version": 2}'),
        ("damaged-manifest", ".lading/manifests/tiny/v1.json", "{"),
    ],
)
def test_a_volume_that_cannot_be_read_is_named(ran, volume, case, path, text):
    (volume.root / path).write_text(text)
    golden.check("volume", case, golden.said(ran("ls", "vol")))


def everything(folder):
    """All paths below, without the locks' clock, which a refused writer may have touched."""
    return {path for path in folder.rglob("*") if "locks" not in path.parts}


def test_folders_without_a_manifest_are_listed_with_what_is_wrong(ran, volume, tmp_path):
    loose(volume.root / "Whole", {"model.joblib": b"x"})
    loose(volume.root / "Half-7B", {"config.json": b"{}", "model-00001-of-00002.safetensors": b""})
    lines = ran("ls", "vol").stdout.splitlines()
    assert lines[-1] == "Whole\t\t\t1 B\t1\tsklearn\t\tno manifest"
    assert lines[-2].startswith(
        "Half-7B\t\t\t2 B\t2\thuggingface\t\tno manifest: half a model: 1 of 2 parts are missing"
    )
    assert ran("ls", "vol/Whole", "--files").stdout.splitlines() == [
        "folder\tfile\tsize\tsha256",
        "Whole\tmodel.joblib\t1 B\t",
    ]
    loose(tmp_path / "plain" / "Other", {"model.joblib": b"x"})
    [plain] = documents(ran("ls", "plain", "--format", "json"))
    assert (plain["path"], plain["files"]) == ("Other", 1)
    assert not (tmp_path / "plain/.lading").exists()


def test_adopt_cat_du_and_diff(ran, volume):
    loose(volume.root / "Whole", {"model.joblib": b"abc"})
    done = ran("adopt", "vol/Whole", "--version", "v1")
    assert done.stdout == "HERE/vol/whole@v1 is listed where it lies, at HERE/vol/Whole: sklearn, 1 file, 3 B\n"
    assert ran("adopt", "vol/Whole").returncode == 0
    assert ran("cat", "vol/whole", "model.joblib").stdout == "abc"
    assert ran("verify", "vol/whole").returncode == 0
    assert ran("du", "vol").stdout.startswith("HERE/vol: 10.3 kB published, 1.00 kB staged; ")
    assert ran("diff", "vol/tiny@v2", "vol/tiny@v3").stdout.endswith("have the same 1 file, byte for byte\n")
    differ = ran("diff", "vol/tiny@v1", "vol/tiny@v2").stdout.splitlines()
    assert differ[0] == "tiny@v1 and tiny@v2 differ in 3 files; 0 are the same; a switch to the second loads 3 B anew"
    assert differ[2] == "changed\tconfig.json\t2 B\t3 B"
