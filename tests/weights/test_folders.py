"""Where models lie among the files of a source."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import SourceDenied
from lading.weights import folders
from lading.weights.listing import Entry

HF = ("config.json", "model.safetensors")


def entries(*paths, size_bytes=10):
    return [Entry(path=path, size_bytes=size_bytes) for path in paths]


def below(folder, *names):
    return [f"{folder}/{name}" for name in names]


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        ((), {}),
        (("readme.md", "notes/a.txt"), {}),
        (HF, {".": HF}),
        ((*below("a", *HF), *below("b/c", "x.gguf"), "readme.md"), {"a": below("a", *HF), "b/c": ["b/c/x.gguf"]}),
        (below("a", *HF, "original/x.gguf"), {"a": below("a", *HF, "original/x.gguf")}),
        ((*HF, "extra/vocab.txt"), {".": (*HF, "extra/vocab.txt")}),
        ((*HF, *below("other", *HF), "other/a.txt"), {".": HF, "other": [*below("other", *HF), "other/a.txt"]}),
        ((*below("a", *HF), "a-2/x.gguf"), {"a": below("a", *HF), "a-2": ["a-2/x.gguf"]}),
        ((*below("a", *HF), ".lading/manifests/a.gguf"), {"a": below("a", *HF)}),
    ],
    ids=["nothing", "no model", "the top", "two", "all below belongs to it", "below the top", "beside the top", "likely names",
         "ours"],
)  # fmt: skip
def test_a_folder_whose_own_files_look_like_a_model_is_one(paths, found):
    assert {one.path: tuple(entry.path for entry in one.entries) for one in folders.models(entries(*paths))} == {
        path: tuple(inside) for path, inside in found.items()
    }


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "c.gguf", "config.json", "x.joblib"]), min_size=1, max_size=4), max_size=30
    )
)
def test_no_file_belongs_to_two_models_and_none_to_another_folder(paths):
    listed = entries(*sorted({"/".join(parts) for parts in paths}))
    found = folders.models(listed)
    held = [entry.path for one in found for entry in one.entries]
    assert len(held) == len(set(held))
    assert [one.path for one in found] == sorted({one.path for one in found})
    for one in found:
        assert one.entries
        assert one.path == "." or all(entry.path.startswith(f"{one.path}/") for entry in one.entries)


def test_half_a_model_is_told_by_its_problem():
    (half,) = folders.models(entries("a/config.json"))
    assert "half a model" in folders.problem(half, lambda *_: b"{}")


def test_what_cannot_be_read_is_the_models_problem():
    def refused(*_):
        raise SourceDenied("it refused the request")

    (one,) = folders.models(entries("a/x.gguf"))
    assert folders.problem(one, refused) == "it refused the request"


def test_sizes_that_are_not_said_are_not_guessed():
    (one,) = folders.models(entries("a/x.gguf", size_bytes=None))
    assert one.size_bytes is None
    assert "sizes" in folders.problem(one, lambda *_: b"")
