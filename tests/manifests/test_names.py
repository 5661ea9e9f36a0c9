"""Names that Kubernetes and KServe take, out of any text."""

import re

from hypothesis import given
from hypothesis import strategies as st

from lading.manifests import names


@given(text=st.text(), longest=st.integers(12, 63))
def test_any_text_becomes_a_name_that_kserve_takes(text, longest):
    name = names.dns(text, longest=longest)
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
    assert len(name) <= longest
    assert names.dns(text, longest=longest) == name


@given(text=st.from_regex(r"[a-z]([a-z0-9]{0,20}-?[a-z0-9])?", fullmatch=True))
def test_a_good_name_stays(text):
    assert names.dns(text) == text


def test_long_names_that_begin_alike_stay_two():
    assert names.dns("a" * 60 + "1") != names.dns("a" * 60 + "2")
