"""Safetensors heads: read as the safetensors library reads them, refused when it refuses them."""

import json
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpies
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lading.errors import FormatRefused
from lading.weights import safetensors


def header(data, path="model.safetensors"):
    return safetensors.header(path, len(data), lambda _, offset, count: data[offset : offset + count])


def library(data):
    """What the library sees: name → (dtype, shape); None where it refuses."""
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        Path(file.name).write_bytes(data)
        try:
            with safe_open(file.name, "np") as found:
                return {
                    name: (found.get_slice(name).get_dtype(), tuple(found.get_slice(name).get_shape()))
                    for name in found.keys()  # noqa: SIM118  # not a mapping
                }
        except SafetensorError:
            return None


def packed(document, data=b""):
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return struct.pack("<Q", len(text)) + text + data


arrays = numpies.arrays(
    st.sampled_from([np.float32, np.float16, np.int8, np.uint8, np.int64, np.bool_]),
    numpies.array_shapes(min_dims=0, max_dims=3, max_side=4),
)
whole = st.builds(
    save,
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"), arrays, min_size=1, max_size=4
    ),
    st.none() | st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
)


@given(whole)
@settings(max_examples=50, deadline=None)
def test_a_whole_file_is_read_as_the_library_reads_it(data):
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in header(data).items()} == library(data)


@given(whole, st.data())
@settings(max_examples=50, deadline=None)
def test_every_cut_is_refused(data, draw):
    shorter = data[: draw.draw(st.integers(0, len(data) - 1))]
    assert library(shorter) is None
    with pytest.raises(FormatRefused):
        header(shorter)


@given(whole, st.data())
@settings(max_examples=300, deadline=None)
def test_a_changed_byte_of_the_head_is_judged_as_by_the_library(data, draw):
    head = 8 + int.from_bytes(data[:8], "little")
    at = draw.draw(st.integers(0, head - 1))
    changed = bytearray(data)
    changed[at] = draw.draw(st.integers(0, 255))
    theirs = library(bytes(changed))
    try:
        ours = {name: (tensor.dtype, tensor.shape) for name, tensor in header(bytes(changed)).items()}
    except FormatRefused:
        ours = None
    if theirs is not None or ours is None:
        assert ours == theirs
    else:  # only what JSON leaves open: a dtype of a later version, spelling that Python's reader forgives
        assert any(tensor[0] not in safetensors.BITS for tensor in ours.values()) or not _strict(bytes(changed), head)


def _strict(data, head):
    """Whether the head is what any JSON reader takes the same way: no key twice, nothing unknown."""
    pairs = []

    def collect(found):
        pairs.append([key for key, _ in found])
        return dict(found)

    document = json.loads(data[8:head], object_pairs_hook=collect)
    known = {"dtype", "shape", "data_offsets"}
    return all(len(set(keys)) == len(keys) for keys in pairs) and all(
        set(entry) <= known for name, entry in document.items() if name != "__metadata__"
    )


ONE = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it has 0 bytes"),
        (b"\0" * 7, "it has 7 bytes"),
        (struct.pack("<Q", 2**40), "more than the format allows"),
        (struct.pack("<Q", 100) + b"{}", "the file ends after 2 of them"),
        (packed(b"[]"), "not a JSON object"),
        (packed(b"{"), "not JSON"),
        (packed(b"{" * 50_000), "not JSON"),
        (packed(b'{"\xff": 1}'), "not JSON"),
        (packed({"__metadata__": {"a": 1}}), "not a mapping of strings"),
        (packed({"w": 1}), "tensor 'w' is malformed"),
        (packed({"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, b"\0" * 8), "tensor 'w' is malformed"),
        (
            packed({"w": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, b"\0" * 4),
            "tensor 'w' is malformed",
        ),
        (packed({"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, b"\0" * 8), "does not fit its 8 bytes"),
        (packed(ONE, b"\0" * 7), "tensor 'w' ends at byte 8 of its data, the file at 7: it is cut off"),
        (packed(ONE, b"\0" * 9), "its tensors end at byte 8 of its data, the file at 9"),
        (packed({"w": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, b"\0" * 12), "begins at byte 4"),
        (
            packed(ONE | {"v": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}}, b"\0" * 8),
            "tensor 'v' begins at byte 4",
        ),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS pointer"),
    ],
)
def test_each_fault_is_named(data, says):
    with pytest.raises(FormatRefused) as refused:
        header(data)
    assert says in refused.value.message
    assert "model.safetensors" in refused.value.message


def test_a_dtype_of_a_later_version_is_taken_by_its_offsets():
    data = packed({"w": {"dtype": "F5", "shape": [3], "data_offsets": [0, 2]}}, b"\0\0")
    assert header(data)["w"].dtype == "F5"


@given(st.binary(max_size=200))
@example(struct.pack("<Q", 4) + b"null")
def test_any_bytes_are_read_or_refused_never_a_crash(data):
    try:
        header(data)
    except FormatRefused:
        pass
