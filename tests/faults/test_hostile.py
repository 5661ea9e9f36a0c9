"""What comes from outside is hostile until it was checked: names, heads, indexes, lists, journals and manifests, made up and
mutated. Each is taken or refused in one sentence, in bounded memory and time; nothing is ever written outside."""

import json
import string
import struct
import subprocess
import sys
import textwrap
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.faults.conftest import outcome, sums, whole_only

from lading.errors import FormatRefused, HostileName, InvalidInput, LadingError, VolumeError
from lading.events import Published
from lading.sources import checksums, get
from lading.spec import ref as refs
from lading.testing import tiny_llama
from lading.volume import find
from lading.volume import journal as journals
from lading.weights import formats, gguf, listing, names, plan, safetensors
from lading.weights.listing import Entry

# ------------------------------------------------------------------------------------------------------------- names

NASTY = [
    "..", "../x", "a/../../x", "/etc/passwd", "//x", "a//b", "a/", "./a", "", ".", "a\0b", "a\nb", "a\x1bb", "a\u202eb", "a\u200bb",
    "a\\b", "..\\x", "C:\\x", "x" * 300, "/".join(["d"] * 600), "ü" * 200, "a\ud800b", ".lading", ".LADING/x", "a/.lading/b",
    ".lading/manifests/m/v.json", "a\u2028b", "\x7f", "a\x85b",
]  # fmt: skip
TOGETHER = [
    ("A", "a"), ("a", "a/b"), ("a/b", "a"), ("Dir/x", "dir/y"), ("é", "e\u0301"), ("straße", "STRASSE"), ("a", "a"), ("İ", "i̇"),
    ("ﬁ", "FI"), ("K", "k"),
]  # fmt: skip


@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_a_name_that_must_not_be_written_is_refused(name):
    with pytest.raises(HostileName) as refused:
        planned(name)
    assert all(char.isprintable() for char in refused.value.message)


@pytest.mark.parametrize("pair", TOGETHER, ids=ascii)
def test_names_that_are_one_somewhere_are_refused_together(pair):
    with pytest.raises(HostileName):
        planned(*pair)


def planned(*paths):
    """A plan for a listing of these paths."""
    entries = [Entry(path=path, size_bytes=1, etag='"x"') for path in paths]
    ref = refs.parse("https://example.org/SHA256SUMS")
    return plan.plan(listing.listing(ref, "model", entries), {})


@given(
    st.lists(st.text(st.sampled_from("aA./\\\0 \n~:é\u0301ß") | st.characters(), max_size=12), min_size=1, max_size=6)
)
def test_any_names_are_refused_or_stay_inside_and_apart(tmp_path_factory, paths):
    try:
        checked = names.check_all(paths)
    except HostileName:
        return
    assert len({path.casefold() for path in checked}) == len(paths)
    for path in checked:
        assert not PurePosixPath(path).is_absolute()
        assert ".." not in PurePosixPath(path).parts
        assert str(PurePosixPath(path)) == path


@pytest.mark.parametrize(
    "name", ["CON", "nul.txt", "aux/x", "COM1", "a:b", "a ", "a.", "--help", "-rf", "$(x)", "*", "~"]
)
def test_names_that_are_odd_elsewhere_are_files_here(bed, name):
    """Of Windows, of a shell: a volume is Linux's, and nobody puts them into a command."""
    one = bed({name: b"odd", "plain": b"plain"})
    assert isinstance(one.pull(), Published)
    one.check(published=True)


# ------------------------------------------------------------------------------------------------- lists of digests

LINE = st.builds(
    "{}{}{}".format,
    st.sampled_from(["0" * 64, "f" * 64, "0" * 63, "g" * 64, ""]),
    st.sampled_from(["  ", " *", " ", "\t", ""]),
    st.text(st.sampled_from(string.printable + "\0é/.\\"), max_size=20) | st.sampled_from(NASTY),
)


@given(st.lists(LINE, max_size=8))
def test_any_list_of_digests_is_read_or_refused(lines):
    text = "\n".join(lines)
    try:
        found = checksums.parse_list(text, "SHA256SUMS")
    except InvalidInput:
        return
    assert len({one.path for one in found}) == len(found) > 0


@pytest.mark.parametrize(
    "name", ["../escaped", "/tmp/escaped", "a/../../escaped", "sub/../../../escaped", "%2e%2e/escaped"]
)
def test_a_hostile_list_writes_nothing_outside(bed, tmp_path, name):
    """Also where the server would give such a file."""
    one = bed({"plain": b"plain"})
    one.files.files |= {"escaped": b"no", "model/../escaped": b"no", f"model/{name}": b"no", "tmp/escaped": b"no"}
    one.files.files["model/SHA256SUMS"] = sums({name: b"no"})
    before = {path for path in tmp_path.parent.rglob("*") if "volume-" not in str(path)}
    ended = outcome(one.pull)
    assert isinstance(ended, LadingError | Published)
    assert {path for path in tmp_path.parent.rglob("*") if "volume-" not in str(path)} == before
    one.also.append({name: b"no"})
    whole_only(one.volume, [one.content, *one.also])


# ----------------------------------------------------------------------------------------------------------- headers


@given(
    st.text(max_size=40)
    | st.from_regex(r"[0-9]{1,30}|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4,6} .*", fullmatch=True)
)
def test_any_retry_after_is_seconds_or_nothing(text):
    assert (get.retry_after_s(text) or 0) >= 0


# ------------------------------------------------------------------------------------------------- heads of weights


def short(error):
    """One sentence."""
    assert len(error.message) < 1000


def reader(data):
    return lambda path, offset, count: data[offset : offset + count]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The heads of a whole small model: of a GGUF file, of a safetensors file."""
    folder = tmp_path_factory.mktemp("whole")
    tensors = next(tiny_llama.write_huggingface(folder / "hf", shards=2).glob("*.safetensors"))
    return {"gguf": tiny_llama.write_gguf(folder / "tiny.gguf").read_bytes(), "safetensors": tensors.read_bytes()}


CHANGES = st.lists(
    st.tuples(st.integers(0, 1200), st.sampled_from([b"\0", b"\xff", b"\xff" * 8, b"\0" * 8, b"[" * 9, b"\x7f" + b"\xff" * 7, b'"'])),
    min_size=1, max_size=4,
)  # fmt: skip


@given(CHANGES, st.integers(0, 4000))
@pytest.mark.parametrize("kind", ["gguf", "safetensors"])
def test_a_damaged_head_is_read_or_refused(kind, whole, changes, cut):
    data = bytearray(whole[kind])
    for at, piece in changes:
        data[at : at + len(piece)] = piece
    shown = bytes(data[: len(data) - cut])
    read = gguf.head if kind == "gguf" else safetensors.header
    try:
        read("model", len(shown), reader(shown))
    except FormatRefused as error:
        short(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, JSON)
def test_any_index_is_taken_or_refused(index, config):
    """``weight_map`` of anything, beside a whole shard."""
    shard = json.dumps({"t": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    contents = {
        "config.json": json.dumps(config).encode(),
        "model.safetensors.index.json": json.dumps({"weight_map": index}).encode(),
        "model.safetensors": struct.pack("<Q", len(shard)) + shard + b"x",
    }
    sizes = {path: len(data) for path, data in contents.items()}
    try:
        formats.check(sizes, lambda path, offset, count: contents[path][offset : offset + count])
    except FormatRefused as error:
        short(error)


#: Files that claim much, or hold much of nothing: each is refused, within so much memory and time.
BOMBS = {
    "a header of 2^63 bytes": "(2**63).to_bytes(8, 'little') + b'{}' + bytes(1000)",
    "a header of brackets": "header(b'{\"a\":' + b'[' * 30_000_000)",
    "a header of empty lists": "header(b'{\"a\":[' + b'[],' * 9_000_000 + b'1]}')",
    "a header of long numbers": "header(b'{\"a\":{\"dtype\":\"F32\",\"shape\":[' + b'9' * 4000 + (b',' + b'9' * 4000) * 6000 + b'],\"data_offsets\":[0,4]}}')",
    "a header of a shape without end": "header(b'{\"a\":{\"dtype\":\"F32\",\"shape\":[9' + b',9223372036854775807' * 900_000 + b'],\"data_offsets\":[0,4]}}')",
    "a header of many names": "header(b'{' + b','.join(b'\"%d\":0' % n for n in range(700_000)) + b'}')",
    "a GGUF of 2^63 tensors": "b'GGUF' + struct.pack('<IQQ', 3, 2**63, 0) + bytes(1000)",
    "a GGUF of 2^63 entries": "b'GGUF' + struct.pack('<IQQ', 3, 0, 2**63) + bytes(1000)",
    "a GGUF of a string of 2^63": "b'GGUF' + struct.pack('<IQQQ', 3, 0, 1, 2**63) + bytes(1000)",
    "a GGUF of many tensors": "b'GGUF' + struct.pack('<IQQ', 3, 1_000_000, 0) + bytes(32_000_000)",
    "a GGUF of many entries": "b'GGUF' + struct.pack('<IQQ', 3, 0, 2_000_000) + bytes(32_000_000)",
    "a GGUF of arrays in arrays": "entry(struct.pack('<IIQ', 9, 9, 4_200_000) + struct.pack('<IQ', 0, 0) * 4_200_000)",
    "a GGUF of arrays too deep": "entry(struct.pack('<I', 9) + struct.pack('<IQ', 9, 1) * 100_000)",
    "a GGUF of empty strings": "entry(struct.pack('<IIQ', 9, 8, 6_000_000) + bytes(8 * 6_000_000))",
}  # fmt: skip
DEFUSED = """
import resource, struct, sys, time
from lading.errors import FormatRefused
from lading.weights import gguf, safetensors
def header(text):
    return struct.pack("<Q", len(text)) + text + bytes(8)
def entry(value):
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k" + value + bytes(100)
data = {bomb}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.process_time()
read = lambda path, offset, count: data[offset : offset + count]
try:
    (gguf.head if data.startswith(b"GGUF") else safetensors.header)("model", len(data), read)
    print("taken")
except FormatRefused as error:
    print("refused", len(error.message))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, time.process_time() - began, file=sys.stderr)
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_bounded_memory_and_time(name):
    """In a process of its own, of which the system says how much it took: at most 400 MB, 30 s of a processor."""
    code = textwrap.dedent(DEFUSED).replace("{bomb}", BOMBS[name])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=150, check=False)
    assert done.stdout.startswith("refused"), done.stdout + done.stderr
    assert int(done.stdout.split()[1]) < 2000
    megabytes, seconds = done.stderr.split()
    assert int(megabytes) < 400
    assert float(seconds) < 30


# ----------------------------------------------------------------------------------------- what lies on a volume

LINES = st.lists(
    st.binary(max_size=40)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.builds(lambda key, value: json.dumps({key: value}).encode(), st.sampled_from(["staging", "parts", "file", "publishing"]), JSON)
    | st.builds(
        lambda done, path: json.dumps({"parts": {"path": path, "inode": 1, "size_bytes": 3, "done": done}}).encode(), JSON | st.lists(JSON), st.text()
    )
    | st.just(b"[" * 100_000),
    max_size=6,
)  # fmt: skip


@given(LINES)
def test_any_journal_is_read(tmp_path_factory, lines):
    path = tmp_path_factory.getbasetemp() / "journal.jsonl"
    path.write_bytes(b"\n".join(lines))
    journals.read(path)


@given(JSON | st.just({"manifest_version": 10**400}))
def test_any_manifest_is_read_or_refused(tmp_path_factory, document):
    root = tmp_path_factory.mktemp("hostile") / "volume"
    volume = find.create_volume(root)
    path = root / ".lading/manifests/model/v1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(document))
    with pytest.raises(VolumeError):
        list(volume.manifests())


@pytest.mark.parametrize("path", ["../escaped", "/etc/passwd", ".lading/x", "a\0b"])
def test_a_manifest_that_leads_outside_is_never_followed(path, bed):
    one = bed()
    assert isinstance(one.pull(version="v1"), Published)
    file = one.volume / ".lading/manifests/model/v1.json"
    document = json.loads(file.read_text())
    document["files"][0]["path"] = path
    file.write_text(json.dumps(document))
    volume = find.open_volume(one.volume)
    with pytest.raises((LadingError, OSError)):
        volume.open_file(volume.manifest("model", "v1"), path)
