"""Metadata as text: one form for the same metadata, and nothing else is read."""

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.errors import BitstreamError
from codec.metadata import MAX_METADATA_BYTES, Metadata

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
metadatas = st.builds(
    Metadata,
    tags=st.dictionaries(texts.filter(bool), st.lists(texts, min_size=1, max_size=3).map(tuple), max_size=4),
    source_name=st.none() | texts,
    source_sha256=st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
    mtime_ns=st.none() | st.integers(1 - 2**63, 2**63 - 1),
    sample_rate=st.none() | st.integers(1, 2**32 - 1),
    format=st.none() | texts,
    subtype=st.none() | texts,
    channel_layout=st.none() | texts,
)


@given(metadatas)
def test_there_and_back(metadata):
    text = metadata.to_json()
    assert Metadata.from_json(text) == metadata
    assert Metadata.from_json(text).to_json() == text
    assert pickle.loads(pickle.dumps(metadata)) == metadata  # noqa: S301 (our own bytes)


def test_the_text_is_as_documented():
    metadata = Metadata(tags={"title": ("Schön\x1b\n",), "artist": ("b", "a")}, mtime_ns=-5, channel_layout="FL+FR+FC")
    text = '{"channel_layout":"FL+FR+FC","mtime_ns":-5,"tags":{"artist":["b","a"],"title":"Schön\\u001b\\n"}}'
    assert metadata.to_json() == text.encode()
    assert Metadata().to_json() == b"{}"
    assert Metadata.from_json(b'{"later":[{"x":1}],"subtype":"pcm_16"}') == Metadata(subtype="pcm_16")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b'"a"',
        b"{} ",
        b'{"subtype": "a"}',
        b'{"subtype":"a","format":"b"}',
        b'{"format":"a","format":"b"}',
        b'{"format":"\\u0061"}',
        b'{"format":"\\ud800"}',
        b'{"format":"\xed\xa0\x80"}',
        b'{"format":"a',
        b'{"format":null}',
        b'{"format":1}',
        b'{"sample_rate":1.0}',
        b'{"sample_rate":1e3}',
        b'{"sample_rate":-0}',
        b'{"sample_rate":0}',
        b'{"sample_rate":true}',
        b'{"sample_rate":NaN}',
        b'{"sample_rate":4294967296}',
        b'{"mtime_ns":9223372036854775808}',
        b'{"mtime_ns":"1"}',
        b'{"mtime_ns":' + b"1" * 60_000 + b"}",
        b'{"source_sha256":"ABCD"}',
        b'{"tags":null}',
        b'{"tags":[]}',
        b'{"tags":{"":"a"}}',
        b'{"tags":{"a":1}}',
        b'{"tags":{"a":["b"]}}',
        b'{"tags":{"a":["b",1]}}',
        b'{"x":' + b"[" * 65_000,
        b'{"x":' + b'{"x":' * 10_000,
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(BitstreamError, match="malformed"):
        Metadata.from_json(text)


@given(
    st.binary(max_size=100)
    | st.recursive(st.none() | st.booleans() | st.integers() | texts, st.lists).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_arbitrary_bytes_raise_only_our_error(data):
    try:
        metadata = Metadata.from_json(data)
    except BitstreamError:
        return
    assert metadata.to_json() == data


def test_they_are_bounded():
    most = Metadata(tags={"a": ("b" * (MAX_METADATA_BYTES - len(b'{"tags":{"a":""}}')),)})
    assert Metadata.from_json(most.to_json()) == most
    with pytest.raises(ValueError, match="a container takes 65536"):
        Metadata(tags={"a": (*most.tags["a"], "c")}).to_json()
    with pytest.raises(BitstreamError, match="a container takes 65536"):
        Metadata.from_json(most.to_json() + b" ")


@pytest.mark.parametrize(
    "fields",
    [
        {"tags": {"": ("a",)}},
        {"tags": {"a": ()}},
        {"tags": {"a": "text"}},
        {"tags": {"a": (1,)}},
        {"format": 1},
        {"mtime_ns": 1.5},
        {"sample_rate": 0},
        {"source_sha256": "abc"},
    ],
)
def test_what_cannot_be_written_is_refused_at_once(fields):
    with pytest.raises(ValueError, match=next(iter(fields)).rstrip("s")):
        Metadata(**fields)
