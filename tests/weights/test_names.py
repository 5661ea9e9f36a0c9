"""Names from outside: what is refused, and that what passes lands apart and inside."""

import os
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import HostileName
from lading.weights import names

HOSTILE = {
    "": "empty",
    "/etc/passwd": "absolute",
    "../outside": "'..'",
    "a/../../outside": "'..'",
    "./a": "'.'",
    "a//b": "empty part",
    "a/": "empty part",
    "a\\b": "backslash",
    "a\0b": "control character (U+0000)",
    "a\nb": "control character (U+000A)",
    "a\x7fb": "control character (U+007F)",
    "safe\u202egpj.exe": "invisible format character (U+202E)",
    "a\u2028b": "line separator",
    "a\udcffb": "surrogate",
    ".lading/manifests/x.json": "reserved",
    "a/.LADING": "reserved",
    "x" * 256: "longer than 255 bytes",
    "é" * 128: "longer than 255 bytes",
    "/".join(["d" * 200] * 6): "longer than 1,024 bytes",
}


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_name_is_refused_with_its_fault(path):
    with pytest.raises(HostileName) as refused:
        names.check(path)
    assert HOSTILE[path] in refused.value.message
    assert refused.value.message.isprintable()


@pytest.mark.parametrize(
    "path", ["config.json", ".gitattributes", "a/b/c.safetensors", "model name (1).bin", "模型/权重", "..a", "x" * 255]
)
def test_ordinary_names_pass(path):
    assert names.check(path) == path


@pytest.mark.parametrize(
    "pair",
    [
        ("a", "a"),
        ("Model.bin", "model.bin"),
        ("Folder/a", "folder/b"),
        ("straße", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),
        ("a", "a/b"),
        ("a/b/c", "a/b"),
    ],
)
def test_names_that_some_file_system_takes_for_one_are_refused(pair):
    for paths in (pair, pair[::-1]):
        with pytest.raises(HostileName):
            names.check_all(paths)


nasty = st.text(st.sampled_from(list("aAbéE\u0301./\\\0\n \u202e")), max_size=12)
anything = st.one_of(nasty, st.text(max_size=30))


@given(anything)
def test_what_passes_stays_below_its_root(path):
    try:
        names.check(path)
    except HostileName:
        return
    assert os.path.normpath(f"/volume/{path}") == f"/volume/{path}"
    assert all(unicodedata.category(char)[0] != "C" for char in path if unicodedata.category(char) not in {"Cn", "Co"})


@given(st.lists(anything, max_size=6))
def test_what_passes_together_can_be_written_and_is_then_exactly_there(paths):
    try:
        names.check_all(paths)
    except HostileName:
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        root.mkdir()
        for path in paths:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(path)
        there = {file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()}
        assert there == set(paths)
        assert list(Path(folder).iterdir()) == [root]
        assert all((root / path).read_text() == path for path in paths)


@given(st.lists(anything, max_size=6), st.randoms())
def test_the_verdict_does_not_depend_on_the_order(paths, random):
    def passes(some):
        try:
            names.check_all(some)
        except HostileName:
            return False
        return True

    shuffled = list(paths)
    random.shuffle(shuffled)
    assert passes(paths) == passes(shuffled)
