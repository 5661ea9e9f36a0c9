"""Options of a pull: the command line, the library and the document of a Job hold the same value."""

import pytest

import lading as library
from lading import wiring
from lading.cli.choosing import Choosing, chosen
from lading.cli.output import Common, Output
from lading.errors import InvalidInput
from lading.manifests import jobs
from lading.spec import command as commands
from lading.spec import ref as refs
from lading.spec.command import ListSourceCommand, PullCommand
from lading.spec.pull import OF_SOURCES, PLAIN, Choices


@pytest.fixture
def every(tmp_path):
    """An option for every choice, none at its default."""
    (tmp_path / "list.txt").write_text("a.bin\nb c.bin\n")
    (tmp_path / "key.pem").write_text("-----BEGIN PUBLIC KEY-----\n")
    return Choosing(
        endpoint="http://store:9000", files=tmp_path / "list.txt", include=("*.bin",), exclude=("b*",), prefer="bin", expect="any",
        sha256="0" * 64, requester_pays=True, verify=False, require_signature=tmp_path / "key.pem", max_rate="200MB/s",
    )  # fmt: skip


def test_every_choice_has_an_option(every):
    made = chosen(every, Output())
    assert {name for name in Choices.model_fields if getattr(made, name) == getattr(PLAIN, name)} == set()
    assert made.files == ("a.bin", "b c.bin")
    assert made.max_rate_bytes_per_s == 200e6
    assert chosen(None, Output()) == PLAIN


def test_a_job_and_the_look_before_it_are_told_every_choice(every):
    made = chosen(every, Output())
    pull = PullCommand(source="s3://b/m", use=False, **dict(made))
    assert commands.parse(jobs.document(pull)) == pull
    look = ListSourceCommand.before(pull)
    assert {name: getattr(look, name) for name in Choices.model_fields} == dict(made)
    assert look.source == "s3://b/m"


@pytest.mark.parametrize(
    "common", [Common(), Common(quiet=True), Common(format="json")], ids=["plain", "quiet", "json"]
)
def test_that_certificates_are_not_checked_is_always_said(common, capsys):
    chosen(Choosing(verify=False), Output(common))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("warning: --no-verify")


@pytest.mark.parametrize("rate", ["fast", "0", "-1", "10 parsecs", "inf"])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(InvalidInput, match="--max-rate"):
        chosen(Choosing(max_rate=rate), Output())


def test_a_digest_that_is_none_is_refused():
    with pytest.raises(InvalidInput, match="sha256"):
        chosen(Choosing(sha256="abc"), Output())


def test_a_key_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"--require-signature .*key\.pem"):
        chosen(Choosing(require_signature=tmp_path / "key.pem"), Output())


def test_a_file_that_is_no_key_does_not_get_into_a_job(tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"w" * 100_000)
    with pytest.raises(InvalidInput, match="is longer than"):
        chosen(Choosing(require_signature=tmp_path / "weights.bin"), Output())


def test_the_library_names_the_nearest_option(tmp_path):
    with pytest.raises(InvalidInput) as caught:
        library.pull(tmp_path, tmp_path / "volume", exclud=["*.bin"])
    assert caught.value.hint == "did you mean `exclude`?"


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("https://host/m.gguf", {"requester_pays": True}),
        ("https://host/m.gguf", {"endpoint": "http://store"}),
        ("s3://bucket/m", {"files": ("a",)}),
        ("./folder", {"verify_tls": False}),
    ],
)
def test_what_a_source_cannot_honour_is_refused(source, options):
    (name,) = options
    with pytest.raises(InvalidInput, match=OF_SOURCES[name]):
        wiring.source(refs.parse(source), Choices(**options))


def test_a_secret_of_the_address_is_not_in_the_refusal():
    with pytest.raises(InvalidInput) as caught:
        wiring.source(refs.parse("https://user:word@host/m?sig=abc"), Choices(requester_pays=True))
    assert not {"word", "abc"} & set(caught.value.message.replace("@", " ").replace("=", " ").replace(":", " ").split())


def test_a_source_of_others_takes_what_it_says_it_understands(monkeypatch):
    class Theirs:
        understands = frozenset({"endpoint"})

        def __init__(self, *, choices):
            self.choices = choices

    monkeypatch.setattr(wiring, "_load", lambda group, name, word: Theirs)
    assert wiring.source(refs.parse("gs://b/m"), Choices(endpoint="x")).choices.endpoint == "x"
    with pytest.raises(InvalidInput, match="--requester-pays"):
        wiring.source(refs.parse("gs://b/m"), Choices(endpoint="x", requester_pays=True))
