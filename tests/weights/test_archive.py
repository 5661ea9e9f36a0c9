"""What of a tar archive is taken, and what is refused."""

import io
import itertools
import lzma
import tarfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.weights.tars import COMPRESS, entry, packed

from lading.errors import HostileName, LadingError, SourceError
from lading.weights import archive, compression
from lading.weights.archive import Catalogue, Member

NAMES = ["config.json", "sub/deep/part.bin", "ü/ÿ.txt", "n" * 180 + "/" + "m" * 200, "d/" * 60 + "leaf"]


def listed(data):
    """The members with their content, the whole archive read."""
    raw = io.BytesIO(data)
    found = []
    catalogue = Catalogue()
    while (member := archive.next_member(raw.read)) is not None:
        catalogue.add(member)
        content = raw.read(member.padded_bytes)
        if len(content) < member.padded_bytes:
            raise SourceError("cut off in a member")
        found.append((member, content[: member.size_bytes]))
    archive.check_rest(raw.read)
    return found


def files(data):
    return {member.path: content for member, content in listed(data) if not member.is_folder}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_files_are_read_as_they_were_packed(form):
    content = {name: name.encode() * 3 for name in NAMES} | {"empty": b"", "block": b"x" * 512}
    assert files(packed(content, form=form)) == content


def test_the_old_posix_form_has_long_names_in_two_parts():
    content = {"a" * 90 + "/" + "b" * 80: b"1"}
    assert files(packed(content, form=tarfile.USTAR_FORMAT)) == content


def test_a_dot_before_each_name_is_nothing():
    data = packed({"./": None, "./a.bin": b"1", "././sub/": None, "./sub/b": b"2"})
    assert [member for member, _ in listed(data)] == [
        Member(path="", size_bytes=0, is_folder=True),
        Member(path="a.bin", size_bytes=1),
        Member(path="sub", size_bytes=0, is_folder=True),
        Member(path="sub/b", size_bytes=1),
    ]


@given(st.dictionaries(st.text("abc/.é", min_size=1, max_size=30), st.binary(max_size=2000), max_size=8))
def test_what_is_accepted_is_what_the_standard_library_reads(content):
    """Any names: refused, or the same paths with the same bytes as tarfile finds."""
    data = packed(content)
    try:
        found = files(data)
    except HostileName:
        return
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        theirs = {archive._plain(info.name): tar.extractfile(info).read() for info in tar if info.isreg()}
    assert found == theirs


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../up", "a/../../up", "a/./b", "a//b", "a\\b", "nul\x01", ".lading/x", "a/.LADING/x", "x" * 300],
)
def test_names_that_must_not_be_written_are_refused(name):
    with pytest.raises(HostileName):
        listed(packed({name: b"1"}))


@pytest.mark.parametrize("name", ["/abs/", "../up/", ".lading/"])
def test_folders_of_such_names_are_refused_too(name):
    with pytest.raises(HostileName):
        listed(packed({name: None}))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "pipe"),
        (tarfile.GNUTYPE_SPARSE, "sparse"),
        (b"V", "not known"),
        (b"M", "not known"),
        (b"D", "not known"),
        (b"Z", "not known"),
    ],
)
def test_what_is_no_plain_file_is_refused_by_its_name(kind, words):
    data = packed({"in.bin": entry("in.bin", kind, "/etc/passwd")}, form=tarfile.GNU_FORMAT)
    with pytest.raises(HostileName, match=rf"in\.bin.*{words}"):
        listed(data)


@pytest.mark.parametrize(
    "pair", [("a", "a"), ("a", "./a"), ("A", "a"), ("sub/x", "SUB/y"), ("é", "e\u0301"), ("a", "a/b"), ("a/b", "a")]
)
def test_names_that_are_one_name_somewhere_are_refused(pair):
    one, two = (tarfile.TarInfo(name) for name in pair)
    with pytest.raises(HostileName):
        listed(packed({"1": one, "2": two}))


def test_sparse_files_by_pax_are_refused():
    info = tarfile.TarInfo("s.bin")
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "x",
        "GNU.sparse.realsize": "9",
    }
    with pytest.raises(HostileName, match="sparse"):
        listed(packed({"s.bin": info}))


@pytest.mark.parametrize("headers", [{"path": "x"}, {"size": "5"}])
def test_one_name_or_size_for_all_members_is_refused(headers):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT, pax_headers=headers) as tar:
        tar.addfile(tarfile.TarInfo("a"))
    with pytest.raises(HostileName, match="all its members the same"):
        listed(raw.getvalue())


def test_a_comment_for_all_members_is_no_harm():
    """`git archive` writes the commit so."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "c" * 40}) as tar:
        tar.addfile(tarfile.TarInfo("a"))
    assert files(raw.getvalue()) == {"a": b""}


def test_a_size_in_a_pax_header_counts_before_the_short_one():
    data = bytearray(packed({"a": b"12345"}))
    record = b"10 size=5\n"
    head = tarfile.TarInfo("pax")
    head.type, head.size = tarfile.XHDTYPE, len(record)
    data[124:136] = b"00000000000\0"
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    assert files(head.tobuf() + record.ljust(512, b"\0") + bytes(data)) == {"a": b"12345"}


@pytest.mark.parametrize(
    "record", [b"8 size=5\n", b"99 size=5\n", b"10 size:5\n", b"x size=5\n", b"0", b"11 size=-5\n"]
)
def test_damaged_pax_headers_are_refused(record):
    head = tarfile.TarInfo("pax")
    head.type, head.size = tarfile.XHDTYPE, len(record)
    with pytest.raises(SourceError):
        listed(head.tobuf() + record.ljust(512, b"\0") + packed({"a": b"12345"}))


def test_extensions_are_bounded():
    head = tarfile.TarInfo("pax")
    head.type, head.size = tarfile.XHDTYPE, 1 << 30
    with pytest.raises(HostileName, match="1,073,741,824"):
        listed(head.tobuf())


def test_members_are_counted():
    catalogue = Catalogue(members=2)
    catalogue.add(Member(path="a", size_bytes=0))
    catalogue.add(Member(path="d", size_bytes=0, is_folder=True))
    with pytest.raises(HostileName, match="more than 2"):
        catalogue.add(Member(path="b", size_bytes=0))


def test_sizes_beyond_all_numbers_are_read_as_they_are():
    """Whether that much fits is another's question; nothing is read for it here."""
    info = tarfile.TarInfo("huge")
    info.size = 1 << 62
    raw = io.BytesIO(info.tobuf(tarfile.GNU_FORMAT))
    assert archive.next_member(raw.read).size_bytes == 1 << 62


def test_an_archive_that_is_cut_off_is_refused_wherever():
    data = packed({"a": b"1" * 600, "sub/b": b"2" * 10})
    end = data.rindex(b"2") // 512 * 512 + 512
    for size in range(0, end, 256):
        with pytest.raises(SourceError):
            listed(data[:size])


def test_a_second_archive_behind_the_first_is_refused():
    with pytest.raises(SourceError, match="follows the end"):
        listed(packed({"a": b"1"}) + packed({"b": b"2"}))


@given(st.binary(max_size=3000))
def test_anything_is_read_or_refused(data):
    try:
        listed(data)
    except LadingError:
        pass


@given(st.data())
def test_damage_to_a_header_is_seen_or_harmless(draw):
    """One byte changed anywhere: an error of ours, or the same content under checked names."""
    data = bytearray(packed({"a/b.bin": b"1" * 100, "c": b"2" * 700}))
    data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        found = files(bytes(data))
    except LadingError:
        return
    assert set(found) == {"a/b.bin", "c"}


@pytest.mark.parametrize(
    ("name", "kind", "stem"),
    [
        ("m.tar", "tar", "m"),
        ("m.v1.tar.gz", "tar.gz", "m.v1"),
        ("M.TGZ", "tar.gz", "M"),
        ("m.tar.zst", "tar.zst", "m"),
        ("m.tar.xz", "tar.xz", "m"),
        ("m.tbz2", "tar.bz2", "m"),
        ("m.gz", None, "m.gz"),
        (".tar", None, ".tar"),
        ("m.tar.sha256", None, "m.tar.sha256"),
        ("m.gguf", None, "m.gguf"),
    ],
)
def test_archives_are_known_by_their_names(name, kind, stem):
    assert (archive.kind(name), archive.stem(name)) == (kind, stem)


@pytest.mark.parametrize(
    ("paths", "folder"),
    [(["m/a", "m/b/c"], "m"), (["m/a", "b"], None), (["a"], None), (["m/a", "n/a"], None), ([], None)],
)
def test_the_one_folder_of_all(paths, folder):
    assert archive.common_folder(paths) == folder


def test_what_is_below_the_one_folder():
    assert archive.below("m", "m/m/a") == "m/a"
    assert archive.below(None, "m/a") == "m/a"


SMOOTH = bytes(range(256)) * 2000


def undone(kind, data, *, fed=1000, taken=777, **limits):
    plain = compression.Plain(kind, **limits)
    out = bytearray()
    for start in range(0, len(data), fed):
        plain.feed(data[start : start + fed])
        while piece := plain.take(taken):
            assert len(piece) <= taken
            out += piece
    plain.end()
    return bytes(out)


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("fed", [1, 97, 100_000])
def test_compressed_bytes_come_back_in_bounded_pieces(kind, fed):
    assert undone(kind, COMPRESS[kind](SMOOTH[:20_000]), fed=fed) == SMOOTH[:20_000]


@pytest.mark.parametrize("kind", [kind for kind in COMPRESS if kind != "tar"])
def test_several_streams_are_one_and_zeros_at_the_end_are_nothing(kind):
    data = COMPRESS[kind](b"one") + COMPRESS[kind](b"two") + b"\0" * 1000
    assert undone(kind, data, fed=7) == b"onetwo"


@pytest.mark.parametrize("kind", [kind for kind in COMPRESS if kind != "tar"])
def test_compressed_data_that_is_cut_off_or_followed_by_other_is_refused(kind):
    data = COMPRESS[kind](SMOOTH)
    for bad in (data[:-1], data[: len(data) // 2], data + b"rubbish that is none", b"rubbish that is none", b""):
        with pytest.raises(SourceError):
            undone(kind, bad)


@pytest.mark.parametrize("kind", [kind for kind in COMPRESS if kind != "tar"])
def test_a_bomb_is_stopped_on_its_way(kind):
    data = COMPRESS[kind](bytes(30 << 20))
    plain = compression.Plain(kind, free_bytes=1 << 20)
    plain.feed(data)
    limit = max(1 << 20, 250 * len(data))
    pieces = iter(lambda: plain.take(1 << 16), b"")
    with pytest.raises(SourceError, match="no weights shrink like that"):
        list(itertools.islice(pieces, limit // (1 << 16) + 1))


def test_a_stream_that_asks_for_gigabytes_of_memory_is_refused():
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]
    data = bytearray(lzma.compress(b"x" * 1000, filters=filters))
    at = data.index(b"\x21\x01", 12)  # the LZMA2 filter: its one property is the size of the dictionary
    data[at + 2] = 40  # 4 GiB
    header = bytes(data[12 : 12 + (data[12] + 1) * 4 - 4])
    data[12 + len(header) : 12 + len(header) + 4] = zlib.crc32(header).to_bytes(4, "little")
    with pytest.raises(SourceError, match=r"[Mm]emory"):
        undone("tar.xz", bytes(data))
