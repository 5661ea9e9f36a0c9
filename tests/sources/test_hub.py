"""hf:// against a hub with the real one's layout: pinned, by links that end, held to the hub's digests, and in clear words."""

import asyncio
import errno
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.testbed.hub import download

from lading.errors import (
    InvalidInput,
    InvalidReference,
    SourceBusy,
    SourceChanged,
    SourceDenied,
    SourceError,
    SourceMissing,
)
from lading.sources import hub_api
from lading.sources.hub import HubSource
from lading.spec.pull import Choices
from lading.spec.ref import SourceRef, parse
from lading.testing import hub as hubs
from lading.testing import web
from lading.testing.sources import BIG, SourceContract

MODEL = {
    "README.md": b"# Tiny",
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": BIG,
    "onnx/model.onnx": BIG[:50_000],
}


@pytest.fixture
def tiny(hub):
    repository = hub.repository("acme/Tiny")
    repository.commit(MODEL)
    return repository


class Origin:
    """A repository, its files committed one by one."""

    def __init__(self, hub, **options):
        self.repository = hub.repository("acme/one")

    ref = SourceRef(scheme="hf", location="acme/one")
    missing_ref = SourceRef(scheme="hf", location="acme/missing")

    def source(self):
        return HubSource()

    def put(self, path, data):
        self.repository.commit({path: data})

    def remove(self, path):
        self.repository.commit({path: None})


class TestHub(SourceContract):
    @pytest.fixture
    def origin(self, hub):
        hub.page_files = 2
        return Origin(hub)


class TestMirrorWithoutRedirects(SourceContract):
    @pytest.fixture
    def origin(self, hub):
        hub.direct = True
        return Origin(hub)


def resolve(text):
    source = HubSource()
    try:
        return asyncio.run(source.resolve(parse(text)))
    finally:
        source.close()


def read(source, entry, *, offset=0, end=None, step=1 << 20):
    data = b""
    stop = entry.size_bytes if end is None else end
    buffer = memoryview(bytearray(step))
    while offset + len(data) < stop:
        count = source.read_into(entry, offset + len(data), buffer[: stop - offset - len(data)], end=end)
        assert count > 0
        data += bytes(buffer[:count])
    return data


def entry_of(listing, path):
    return next(entry for entry in listing.entries if entry.path == path)


@pytest.fixture
def source(hub):
    made = HubSource()
    yield made
    made.close()


# ------------------------------------------------------------------------------------------------------------ listing


def test_a_branch_is_pinned_to_its_commit(tiny):
    found = resolve("hf://acme/Tiny")
    assert found.revision == tiny.refs["main"]
    assert str(found.ref) == f"hf://acme/Tiny@{tiny.refs['main']}"
    assert found.name == "Tiny"
    assert [entry.path for entry in found.entries] == sorted(MODEL)


def test_what_was_listed_is_read_while_main_moves_on(tiny, source):
    found = resolve("hf://acme/Tiny")
    tiny.commit({"config.json": b"{}", "model.safetensors": BIG[::-1]})
    assert read(source, entry_of(found, "config.json")) == MODEL["config.json"]
    assert read(source, entry_of(found, "model.safetensors")) == BIG


def test_big_files_have_a_sha256_and_small_ones_gits_name(tiny):
    found = resolve("hf://acme/Tiny")
    assert entry_of(found, "model.safetensors").sha256 == hashlib.sha256(BIG).hexdigest()
    small, data = entry_of(found, "config.json"), MODEL["config.json"]
    git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    assert small.sha256 is None
    assert small.digests == {"git-sha1": git}
    assert small.etag == git


@pytest.mark.parametrize("revision", ["v1", "refs/pr/7", "feature%2Fx", "COMMIT"])
def test_any_revision_may_be_named(hub, tiny, revision):
    first = tiny.refs["main"]
    tiny.refs |= {"v1": first, "refs/pr/7": first, "feature/x": first}
    tiny.commit({"config.json": b"{}"})
    assert resolve(f"hf://acme/Tiny@{first if revision == 'COMMIT' else revision}").revision == first


@pytest.mark.parametrize(
    ("path", "name", "paths"),
    [
        ("onnx", "Tiny-onnx", ["model.onnx"]),
        ("onnx/", "Tiny-onnx", ["model.onnx"]),
        ("model.safetensors", "model", ["model.safetensors"]),
        ("onnx/model.onnx", "model", ["model.onnx"]),
    ],
)
def test_a_folder_or_a_file_of_a_repository_may_be_named(tiny, path, name, paths):
    found = resolve(f"hf://acme/Tiny/{path}")
    assert (found.name, [entry.path for entry in found.entries]) == (name, paths)
    assert found.revision == tiny.refs["main"]


def test_old_repositories_have_one_name(hub):
    hub.repository("gpt2").commit(MODEL)
    assert resolve("hf://gpt2").name == "gpt2"
    assert [entry.path for entry in resolve("hf://gpt2@main/onnx").entries] == ["model.onnx"]


@pytest.mark.parametrize(
    "text", ["hf://datasets/acme/x", "hf://acme/tiny@", "hf://a b/c", "hf://acme/../x", "hf://acme/tiny@main/../x"]
)
def test_what_is_no_model_is_refused(hub, text):
    with pytest.raises(InvalidReference):
        resolve(text)


def _is_no_kind(name):
    return name not in {*hub_api._KINDS, "models"}


def _is_plain(part):
    return part not in {".", ".."}


NAME = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(_is_no_kind)
PART = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1).filter(_is_plain)
PARTS = st.lists(PART, min_size=1, max_size=3).map("/".join)


@given(st.one_of(NAME, st.tuples(NAME, NAME).map("/".join)), PARTS, st.one_of(st.just(""), PARTS))
def test_what_names_a_place_is_read_back_as_that_place(repo, revision, path):
    place = hub_api.Place(repo=repo, revision=revision, path=path)
    assert hub_api.parse(SourceRef(scheme="hf", location=str(place).removeprefix("hf://"))) == place


def test_a_pinned_reference_names_the_same(tiny):
    found = resolve("hf://acme/Tiny/onnx")
    tiny.commit({"onnx/model.onnx": b"other"})
    again = resolve(str(found.ref))
    assert (again.revision, again.entries) == (found.revision, found.entries)


def test_long_lists_come_in_pages(hub, tiny):
    hub.page_files = 1
    hub.asked.clear()
    assert len(resolve("hf://acme/Tiny").entries) == 4
    assert len([one for one in hub.asked if "/tree/" in one.path]) == 5  # a folder has a line, too


# -------------------------------------------------------------------------------------------------------------- links


def test_all_ranges_of_a_file_share_one_link(hub, tiny, source):
    """One question to the hub, whatever the number of ranges and threads."""
    entry = entry_of(resolve("hf://acme/Tiny"), "model.safetensors")
    hub.asked.clear()
    starts = range(0, len(BIG), 300_000)
    with ThreadPoolExecutor(6) as pool:
        parts = pool.map(
            lambda start: read(source, entry, offset=start, end=min(start + 300_000, len(BIG)), step=50_000), starts
        )
        assert b"".join(parts) == BIG
    assert [one.method for one in hub.asked if not one.cdn] == ["HEAD"]
    assert len([one for one in hub.asked if one.cdn]) == len(starts)
    assert hub.sent_bytes == len(BIG)


def test_a_link_that_ended_is_asked_for_anew(hub, tiny, source):
    entry = entry_of(resolve("hf://acme/Tiny"), "model.safetensors")
    first = read(source, entry, end=1_000_000)
    hub.end_links()
    assert first + read(source, entry, offset=1_000_000) == BIG
    assert len([one for one in hub.asked if one.method == "HEAD"]) == 2


def test_a_link_that_is_about_to_end_is_not_used(hub, tiny, source):
    hub.link_life_s = 0
    entry = entry_of(resolve("hf://acme/Tiny"), "model.safetensors")
    with pytest.raises(SourceDenied):
        read(source, entry, end=1_000_000)
    hub.link_life_s = 3600
    assert read(source, entry) == BIG


def test_the_life_of_a_link_is_reckoned_by_the_clock_of_who_gave_it():
    date = "Sat, 21 Nov 2026 12:00:00 GMT"  # 1795262400
    assert hub_api.life_s("https://c/x?Expires=1795266000&Signature=s", date) == 3600 - hub_api.MARGIN_S
    amazon = "https://c/x?X-Amz-Date=20261121T115000Z&X-Amz-Expires=3600"
    assert hub_api.life_s(amazon, date) == 3000 - hub_api.MARGIN_S
    assert hub_api.life_s("https://c/x?Expires=1795262410", date) == 5
    assert hub_api.life_s("https://c/x?Expires=1795262000", date) == 0
    assert 0 < hub_api.life_s("https://c/x", None) < hub_api.UNKNOWN_LIFE_S


def test_a_file_that_is_not_what_was_listed_is_refused_before_its_bytes(hub, tiny, source):
    found = resolve("hf://acme/Tiny")
    tiny.commits[tiny.refs["main"]]["model.safetensors"] = hubs.HubFile.of("model.safetensors", BIG[::-1])
    hub.asked.clear()
    with pytest.raises(SourceChanged):
        read(source, entry_of(found, "model.safetensors"))
    assert not [one for one in hub.asked if one.cdn]


# ------------------------------------------------------------------------------------------------------- who may read


def test_a_token_reads_what_is_private_and_never_goes_to_the_cdn(hub, monkeypatch):
    repository = hub.repository("acme/secret", private=True)
    repository.commit(MODEL)
    token = hub.token(repository)
    monkeypatch.setenv("HF_TOKEN", token)
    found = resolve("hf://acme/secret")
    source = HubSource()
    for entry in found.entries:
        assert read(source, entry) == MODEL[entry.path]
    source.close()
    assert {one.headers.get("authorization") for one in hub.asked if not one.cdn} == {f"Bearer {token}"}
    said_to_cdn = [(one.path, *one.headers.values()) for one in hub.asked if one.cdn]
    assert said_to_cdn
    assert not [line for said in said_to_cdn for line in said if token in line]


def test_the_token_of_a_login_is_found(hub, monkeypatch, tmp_path):
    repository = hub.repository("acme/secret", private=True)
    repository.commit(MODEL)
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf/token").write_text(f"{hub.token(repository)}\n")
    assert resolve("hf://acme/secret").entries
    (tmp_path / "hf/token").rename(tmp_path / "elsewhere")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "elsewhere"))
    assert resolve("hf://acme/secret").entries


def refusal(text, kind):
    with pytest.raises(kind) as caught:
        resolve(text)
    assert "hf_" not in f"{caught.value.message} {caught.value.hint}"
    return caught.value


def test_what_is_gated_is_said_before_anything_is_fetched(hub, monkeypatch):
    """With what to do: accept the terms, or name a token, also in a Job."""
    hub.repository("acme/gated", gated=True).commit(MODEL)
    refused = refusal("hf://acme/gated", SourceDenied)
    assert "gated" in refused.message
    assert f"accept the terms at {hub.url}/acme/gated" in refused.hint
    assert "HF_TOKEN" in refused.hint
    assert "--token-secret" in refused.hint
    monkeypatch.setenv("HF_TOKEN", hub.token())
    refused = refusal("hf://acme/gated", SourceDenied)
    assert "the token in HF_TOKEN may not read it" in refused.message
    assert f"{hub.url}/acme/gated" in refused.hint
    monkeypatch.setenv("HF_TOKEN", hub.token(hub.repositories["acme/gated"]))
    assert resolve("hf://acme/gated").entries


def test_what_is_missing_or_private_is_said_with_the_remedy(hub, tiny, monkeypatch):
    hub.repository("acme/secret", private=True).commit(MODEL)
    for name in ("acme/none", "acme/secret"):
        refused = refusal(f"hf://{name}", SourceMissing)
        assert f"no model {name}, or it is private" in refused.message
        assert "--token-secret" in refused.hint
    monkeypatch.setenv("HF_TOKEN", hub.token())
    assert "the token in HF_TOKEN may not see it" in refusal("hf://acme/secret", SourceMissing).message
    assert "no revision 'v9'" in refusal("hf://acme/Tiny@v9", SourceMissing).message
    missing = refusal("hf://acme/Tiny/onnx/modl.onnx", SourceMissing)
    assert "did you mean hf://acme/Tiny@main/onnx/model.onnx?" in missing.hint


def test_a_token_that_is_none_or_ended_is_named_by_its_place(hub, tiny, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_ended")
    refused = refusal("hf://acme/Tiny", SourceDenied)
    assert "refused the token in HF_TOKEN" in refused.message
    assert "/settings/tokens" in refused.hint
    monkeypatch.setenv("HF_TOKEN", "hf_two\nlines")
    assert "HF_TOKEN has no token" in refusal("hf://acme/Tiny", SourceDenied).message


def test_a_disabled_repository_is_said_to_be(hub, tiny):
    tiny.disabled = True
    assert "was disabled" in refusal("hf://acme/Tiny", SourceDenied).message


def test_a_busy_hub_says_how_long_to_wait(hub, tiny):
    hub.be_busy(1, retry_after_s=7)
    refused = refusal("hf://acme/Tiny", SourceBusy)
    assert refused.retry_after_s == 7


@pytest.mark.parametrize(("endpoint", "kind"), [("hub.example", InvalidInput), ("{cdn}", SourceMissing)])
def test_what_is_no_hub_is_refused(hub, tiny, monkeypatch, endpoint, kind):
    monkeypatch.setenv("HF_ENDPOINT", endpoint.format(cdn=f"{hub.url}/prefix"))
    with pytest.raises(kind):
        resolve("hf://acme/Tiny")


COMMIT = "c" * 40
LINE = {"type": "file", "path": "a.bin", "size": 3, "oid": "0" * 40}


@pytest.mark.parametrize(
    ("info", "tree"),
    [
        (b"<html>", b"[]"),
        (b"[]", b"[]"),
        (b"[" * 100_000, b"[]"),
        (b'{"sha": "main"}', b"[]"),
        (b'{"sha": 3}', b"[]"),
        (None, b"{}"),
        (None, b"[]"),
        (None, [{**LINE, "size": -1}]),
        (None, [{**LINE, "size": "3"}]),
        (None, [{**LINE, "oid": "zz"}]),
        (None, [{**LINE, "path": None}]),
        (None, [{**LINE, "lfs": {"oid": "0" * 64, "size": -1}, "oid": ""}]),
    ],
)
def test_what_is_no_answer_of_a_hub_is_an_error_that_says_so(monkeypatch, tmp_path, info, tree):
    answers = {
        "api/models/a/b/revision/main": info or json.dumps({"sha": COMMIT}).encode(),
        f"api/models/a/b/tree/{COMMIT}": tree if isinstance(tree, bytes) else json.dumps(tree).encode(),
    }
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with web.serving(answers) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        with pytest.raises(SourceError) as caught:
            resolve("hf://a/b")
    assert "a/b" in caught.value.message


@pytest.fixture
def mirror(monkeypatch, tmp_path):
    """A plain server with the hub's layout: it knows no HEAD, and marks files in its own way."""
    big = hashlib.sha256(BIG).hexdigest()
    lines = [LINE, {**LINE, "path": "m.safetensors", "lfs": {"oid": big, "size": len(BIG), "pointerSize": 9}}]
    answers = {
        "api/models/a/b/revision/main": json.dumps({"sha": COMMIT}).encode(),
        f"api/models/a/b/tree/{COMMIT}": json.dumps(lines).encode(),
        f"a/b/resolve/{COMMIT}/a.bin": b"abc",
        f"a/b/resolve/{COMMIT}/m.safetensors": BIG,
    }
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with web.serving(answers) as server:
        server.heads = False
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def test_a_plain_server_with_the_hub_s_layout_is_a_mirror(mirror):
    found = resolve("hf://a/b")
    source = HubSource()
    assert [read(source, entry, step=99_999) for entry in found.entries] == [b"abc", BIG]
    source.close()


def test_a_mirror_may_be_behind_a_password_which_is_not_shown(mirror, monkeypatch):
    mirror.password = "me:letmein"
    monkeypatch.setenv("HF_ENDPOINT", mirror.url.replace("://", "://me:letmein@"))
    assert len(resolve("hf://a/b").entries) == 2
    monkeypatch.setenv("HF_ENDPOINT", mirror.url.replace("://", "://me:letmeout@"))
    refused = refusal("hf://a/b", SourceError)
    assert "letme" not in f"{refused.message} {refused.hint}"


# -------------------------------------------------------------------------------------------------------------- cache


def test_the_real_client_takes_it_for_the_hub(hub, tiny):
    """Pages, redirects, names and marks: its snapshot has every byte."""
    hub.page_files, hub.xet = 2, True
    tiny.commit({"odd name +%20#ü.txt": b"odd", "sub/dir/part.bin": BIG[:100_000], "empty.txt": b""})
    snapshot = download("acme/Tiny")
    assert snapshot.name == tiny.refs["main"]
    found = {file.relative_to(snapshot).as_posix(): file.read_bytes() for file in snapshot.rglob("*") if file.is_file()}
    assert found == {path: file.content() for path, file in tiny.commits[tiny.refs["main"]].items()}


def test_what_its_cache_has_is_read_from_there(hub, tiny):
    download("acme/Tiny")
    tiny.commit({"config.json": b"{}"})
    found = resolve("hf://acme/Tiny")
    hub.asked.clear()
    source = HubSource()
    content = {**MODEL, "config.json": b"{}"}
    for entry in found.entries:
        assert read(source, entry, step=77_777) == content[entry.path]
    source.close()
    assert [one.path.rpartition("/")[2] for one in hub.asked] == ["config.json"]


def test_a_cached_file_of_another_size_is_no_such_file(hub, tiny, tmp_path, source):
    download("acme/Tiny")
    blob = tmp_path / "hf/hub/models--acme--Tiny/blobs" / hashlib.sha256(BIG).hexdigest()
    blob.write_bytes(BIG[:1000])
    entry = entry_of(resolve("hf://acme/Tiny"), "model.safetensors")
    assert read(source, entry) == BIG


def test_a_cached_file_that_cannot_be_read_is_fetched(hub, tiny, source, monkeypatch):
    download("acme/Tiny")
    entry = entry_of(resolve("hf://acme/Tiny"), "model.safetensors")
    first = read(source, entry, end=1000)

    def broken(descriptor, buffers, offset):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "preadv", broken)
    assert first + read(source, entry, offset=1000) == BIG


def test_a_certificate_that_is_not_checked_is_said(hub, tiny):
    source = HubSource(choices=Choices(verify_tls=False))
    (note,) = asyncio.run(source.resolve(parse("hf://acme/Tiny"))).notes
    source.close()
    assert f"the certificate of {hub.url} is not checked" in note


def test_offline_all_is_read_from_the_cache_and_nothing_is_asked(hub, tiny, monkeypatch):
    download("acme/Tiny")
    online = resolve("hf://acme/Tiny")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.asked.clear()
    found = resolve("hf://acme/Tiny")
    assert (found.revision, found.ref, found.entries) == (online.revision, online.ref, online.entries)
    source = HubSource()
    for entry in found.entries:
        assert read(source, entry) == MODEL[entry.path]
    source.close()
    assert not hub.asked


def test_a_cache_without_links_is_read_too(hub, tiny, monkeypatch):
    """Where there are no symbolic links the tools put the files themselves into the snapshot."""
    snapshot = download("acme/Tiny")
    for file in [*snapshot.rglob("*")]:
        if file.is_symlink():
            data = file.read_bytes()
            file.resolve().unlink()
            file.unlink()
            file.write_bytes(data)
    hub.asked.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = resolve("hf://acme/Tiny")
    source = HubSource()
    for entry in found.entries:
        assert read(source, entry) == MODEL[entry.path]
    source.close()
    assert not hub.asked


def test_offline_what_the_cache_lacks_is_said(hub, tiny, monkeypatch):
    snapshot = download("acme/Tiny")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "does not have acme/other at main" in refusal("hf://acme/other", SourceMissing).message
    assert "does not have acme/Tiny at v1" in refusal("hf://acme/Tiny@v1", SourceMissing).message
    (snapshot / "config.json").unlink()
    lacking = refusal("hf://acme/Tiny", SourceMissing).message
    assert "lacks 1 of its files, config.json first" in lacking
