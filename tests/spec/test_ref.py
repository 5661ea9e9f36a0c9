"""References: parse and render are inverses; what cannot be a name is refused, with one that can."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import InvalidReference
from lading.spec import ref
from lading.spec.ref import ClaimRef, LocalRef, SourceRef

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True).filter(
    lambda name: name not in ref.RESERVED
)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
MODELS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
PATHS = st.from_regex(r"(\./|/|\.\./)?[A-Za-z0-9_.-]+(/[A-Za-z0-9_. -]*[A-Za-z0-9_-])*", fullmatch=True)


@given(st.builds(ClaimRef, claim=LABELS, namespace=st.none() | LABELS, model=MODELS, version=st.none() | NAMES))
def test_a_claim_s_reference_survives_being_written_and_read(reference):
    assert ref.parse(str(reference)) == reference


@given(st.builds(LocalRef, path=PATHS, version=st.none() | NAMES))
def test_a_folder_s_reference_survives_being_written_and_read(reference):
    assert ref.parse(str(reference)) == reference


@given(
    st.builds(
        SourceRef,
        scheme=st.sampled_from(["s3", "https", "gs"]),
        location=st.from_regex(r"[a-z0-9][!-~]{0,40}", fullmatch=True),
    )
)
def test_another_scheme_s_reference_is_left_to_its_source_as_it_is(reference):
    assert ref.parse(str(reference)) == reference


@given(st.text(max_size=80))
def test_any_text_is_a_reference_or_refused_with_its_reason(text):
    with suppress(InvalidReference):
        parsed = ref.parse(text)
        assert ref.parse(str(parsed)) == parsed


@given(st.text(max_size=80))
def test_a_model_name_can_be_made_of_any_source_s_name(text):
    assert ref.check_model(ref.model_name(text)) == ref.model_name(text)


def test_a_model_name_is_recognisable():
    assert ref.model_name("Mistral-Small-24B") == "mistral-small-24b"
    assert ref.model_name("meta-llama/Llama-3.1-8B_Instruct") == "meta-llama/llama-3.1-8b-instruct"


def test_a_file_url_is_its_path():
    assert ref.parse("file:///mnt/models/granite@v2") == LocalRef(path="/mnt/models/granite", version="v2")


def test_an_at_sign_that_precedes_no_version_belongs_to_the_path():
    assert ref.parse("./me@home/models") == LocalRef(path="./me@home/models")
    assert ref.parse("./weights@V2!") == LocalRef(path="./weights@V2!")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " x",
        "a\nb",
        "a\x7f",
        "file://host/path",
        "pvc://",
        "pvc://Claim/x",
        "pvc://a/b@",
        "pvc://a/../b",
        "pvc://a/b/c/d/e",
        "s3://",
        "s3:///",
    ],
)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(InvalidReference):
        ref.parse(text)


@pytest.mark.parametrize(
    "name", ["", "current", "a/current", ".lading", "a//b", "a/b/c/d", "UPPER", "a/../b", "-a", "a" * 64, "ä"]
)
def test_what_cannot_name_a_model_is_refused_with_a_name_that_can(name):
    with pytest.raises(InvalidReference) as caught:
        ref.check_model(name)
    offered = caught.value.hint.removeprefix("call it `").removesuffix("`")
    assert ref.check_model(offered) == offered


@pytest.mark.parametrize("name", ["", "current", "a/b", "v 1", "V1"])
def test_what_cannot_name_a_version_is_refused(name):
    with pytest.raises(InvalidReference):
        ref.check_version(name)
