"""GGUF heads: read as the gguf library reads them; cut or changed files are refused, never a crash or a long read."""

import struct

import gguf as library
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.errors import FormatRefused
from lading.weights import gguf


def head(data, path="model.gguf"):
    return gguf.head(path, len(data), lambda _, offset, count: data[offset : offset + count])


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """A GGUF file with every type of metadata, written by the library."""
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    writer = library.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_context_length(128)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_array("tokenizer.ggml.tokens", [f"token {number} é" for number in range(5000)])
    writer.add_array("some.numbers", [1, 2, 3])
    writer.add_array("many.numbers", list(range(5000)))
    writer.add_string("general.name", "tiny ✓")
    for name, value in {
        "bool": True,
        "float32": 0.5,
        "float64": 0.25,
        "int8": -1,
        "uint16": 7,
        "int64": -(2**40),
    }.items():
        getattr(writer, f"add_{name}")(f"value.{name}", value)
    writer.add_tensor("a.weight", np.ones((8, 64), dtype=np.float32))
    writer.add_tensor("b.weight", np.ones((3, 5), dtype=np.float16))
    quantized = library.quants.quantize(np.ones((4, 64), dtype=np.float32), library.GGMLQuantizationType.Q8_0)
    writer.add_tensor("c.weight", quantized, raw_dtype=library.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def test_the_tensor_types_are_those_of_the_library():
    theirs = {int(kind): (kind.name, *sizes) for kind, sizes in library.GGML_QUANT_SIZES.items()}
    assert dict(gguf.TYPES) == theirs


def test_a_whole_file_is_read_as_the_library_reads_it(written, tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(written)
    theirs = library.GGUFReader(path)
    ours = head(written)
    assert {name: (tensor.type, tensor.shape, tensor.size_bytes) for name, tensor in ours.tensors.items()} == {
        tensor.name: (tensor.tensor_type.name, tuple(int(side) for side in tensor.shape), tensor.n_bytes)
        for tensor in theirs.tensors
    }
    for name, field in theirs.fields.items():
        if name.startswith("GGUF."):
            continue
        mine = ours.metadata[name]
        if isinstance(mine, gguf.Array):
            assert mine.length == len(field.contents())
            assert mine.items in {(), tuple(field.contents())}
        else:
            assert mine == field.contents()


def test_long_arrays_are_walked_not_kept(written):
    metadata = head(written).metadata
    assert metadata["tokenizer.ggml.tokens"] == gguf.Array(length=5000)
    assert metadata["many.numbers"] == gguf.Array(length=5000)
    assert metadata["some.numbers"] == gguf.Array(length=3, items=(1, 2, 3))


@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=60, deadline=None)
def test_every_cut_is_refused(written, share):
    padding = 32  # the writer pads the last tensor; without the padding nothing is missing
    with pytest.raises(FormatRefused):
        head(written[: int(share * (len(written) - padding))])


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_changed_byte_is_read_or_refused_never_a_crash(written, data):
    changed = bytearray(written)
    changed[data.draw(st.integers(0, 400))] = data.draw(st.integers(0, 255))
    try:
        head(bytes(changed))
    except FormatRefused:
        pass


@given(st.binary(max_size=300).map(lambda tail: b"GGUF\3\0\0\0" + tail))
def test_any_bytes_are_read_or_refused_never_a_crash(data):
    try:
        head(data)
    except FormatRefused:
        pass


def minimal(entries=b"", tensors=b"", *, entry_count=0, tensor_count=0, version=3, magic=b"GGUF", form="<"):
    return magic + struct.pack(f"{form}IQQ", version, tensor_count, entry_count) + entries + tensors


def text(value):
    return struct.pack("<Q", len(value)) + value


def tensor(name=b"w", shape=(4,), kind=0, offset=0):
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it begins with b''"),
        (b"GGML" + b"\0" * 20, "it begins with b'GGML'"),
        (minimal(version=1), "version 1 is unknown"),
        (minimal(version=3, form=">"), "big-endian"),
        (minimal(entry_count=2**60), "it is cut off"),
        (minimal(tensor_count=2**60), "it is cut off"),
        (minimal(text(b"k") + struct.pack("<I", 99) + b"\0" * 64, entry_count=1), "type 99"),
        (minimal(struct.pack("<Q", 2**63), entry_count=1), "it is cut off"),
        (minimal(tensors=tensor(), tensor_count=1), "tensor 'w' ends at byte"),
        (minimal(tensors=tensor(offset=3) + b"\0" * 64, tensor_count=1), "not aligned to 32"),
        (minimal(tensors=text(b"w") + struct.pack("<I", 999) + b"\0" * 64, tensor_count=1), "999 dimensions"),
        (
            minimal(text(b"general.alignment") + struct.pack("<II", 4, 0) + b"\0" * 64, entry_count=1),
            "its alignment is 0",
        ),
        (
            minimal(text(b"k") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 5 + b"\0" * 64, entry_count=1),
            "nests arrays too deep",
        ),
    ],
)
def test_each_fault_is_named(data, says):
    with pytest.raises(FormatRefused) as refused:
        head(data)
    assert says in refused.value.message


def test_a_head_that_claims_gigabytes_is_not_read():
    asked = []

    def read(path, offset, count):
        asked.append(count)
        return minimal(struct.pack("<Q", 2**39), entry_count=1)[offset : offset + count]

    with pytest.raises(FormatRefused, match="longer than"):
        gguf.head("big.gguf", 2**40, read)
    assert sum(asked) < 10 * 1024**2
