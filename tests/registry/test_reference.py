import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.errors import RegistryError
from registry.reference import ModelReference

ENDS = st.sampled_from(string.ascii_lowercase + string.digits)
WORDS = st.builds(
    lambda first, middle, last: first + middle + last,
    ENDS,
    st.text(string.ascii_lowercase + string.digits + "-_.", max_size=61),
    ENDS,
)


@given(name=WORDS, version=st.integers(1, 999_999_999), alias=WORDS)
def test_what_is_printed_can_be_read_again(name, version, alias):
    for reference in (ModelReference(name=name, version=version), ModelReference(name=name, alias=alias)):
        assert ModelReference.parse(str(reference)) == reference


def test_a_name_alone_means_production():
    assert ModelReference.parse("speech") == ModelReference.parse("speech@production")


@pytest.mark.parametrize(
    "text",
    ["", "@", "Speech", "spéech", "-speech", "speech.", "a" * 64, "a/b", "a b", "speech@", "speech@Prod", "a\n"],
)
def test_what_is_no_name_or_alias_is_refused(text):
    with pytest.raises(RegistryError, match="lower-case letters"):
        ModelReference.parse(text)


@pytest.mark.parametrize("version", ["", "0", "-1", "01", "1.0", "latest", "1@production", "9" * 30])
def test_what_is_no_version_is_refused(version):
    with pytest.raises(RegistryError, match="versions are numbers from 1"):
        ModelReference.parse(f"speech:{version}")
