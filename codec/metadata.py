"""What a container carries beside the codes: tags, and facts of the source. docs/container.md has their form.

The text is canonical JSON: keys sorted by code point, no spaces, nothing escaped that needn't be, whole numbers only, a
list for a tag only where it has several values. So the same metadata are the same bytes, and the reader refuses
whatever would be written otherwise. Keys that this release doesn't know are passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from codec.errors import BitstreamError

MAX_METADATA_BYTES = 1 << 16
# What 64 bits can count with a sign.
MAX_TIME = 1 << 63

_SHA256 = re.compile(r"[0-9a-f]{64}")
_WORDS = ("channel_layout", "format", "source_name", "source_sha256", "subtype")
_NUMBERS = ("mtime_ns", "sample_rate")


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Tags and facts of a source; None is what it doesn't say, or what wasn't asked for.

    `tags` has a value or several for each name. `channel_layout` names the speakers of the channels in their order, as
    `FL+FR+FC+LFE+BL+BR`. `format` and `subtype` are libsndfile's names in small letters (`flac`, `pcm_24`), or
    ffmpeg's. `mtime_ns` counts from 1970 in UTC.

    Raises:
        ValueError: A field can't be written.
    """

    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source_name: str | None = None
    source_sha256: str | None = None
    mtime_ns: int | None = None
    sample_rate: int | None = None
    format: str | None = None
    subtype: str | None = None
    channel_layout: str | None = None

    def __post_init__(self) -> None:
        for name, values in self.tags.items():
            if not name or not isinstance(values, tuple) or not values or not all(isinstance(v, str) for v in values):
                raise ValueError(f"the tag {name[:40]!r} needs a name, and a tuple of one text or several")
        for name in _WORDS:
            if not isinstance(getattr(self, name), str | None):
                raise ValueError(f"{name} is no text")
        for name in _NUMBERS:
            if type(getattr(self, name)) not in (int, type(None)):
                raise ValueError(f"{name} is no whole number")
        if self.sample_rate is not None and not 1 <= self.sample_rate < 1 << 32:
            raise ValueError("sample_rate is not from 1 to 2**32 - 1")
        if self.mtime_ns is not None and abs(self.mtime_ns) >= MAX_TIME:
            raise ValueError("mtime_ns is not a number of 64 bits")
        if self.source_sha256 is not None and not _SHA256.fullmatch(self.source_sha256):
            raise ValueError("source_sha256 is not 64 hexadecimal digits in small letters")

    def to_json(self) -> bytes:
        """Return the canonical text.

        Raises:
            ValueError: It is longer than a container takes, or holds what UTF-8 can't.
        """
        facts = {name: value for name in (*_WORDS, *_NUMBERS) if (value := getattr(self, name)) is not None}
        tags = {name: values[0] if len(values) == 1 else list(values) for name, values in self.tags.items()}
        data = _canonical({**facts, **({"tags": tags} if tags else {})})
        if len(data) > MAX_METADATA_BYTES:
            raise ValueError(f"the metadata take {len(data)} bytes; a container takes {MAX_METADATA_BYTES}")
        return data

    @classmethod
    def from_json(cls, data: bytes) -> Metadata:
        """Parse the canonical text.

        Raises:
            BitstreamError: It is not canonical JSON of such fields, or too long.
        """
        if len(data) > MAX_METADATA_BYTES:
            raise BitstreamError(f"the metadata take {len(data)} bytes; a container takes {MAX_METADATA_BYTES}")
        try:
            value = json.loads(data.decode(), parse_float=_refuse, parse_constant=_refuse)
            if not isinstance(value, dict) or _canonical(value) != data:
                raise ValueError("it is no object, or not in canonical form")
            known = {name: value[name] for name in (*_WORDS, *_NUMBERS) if name in value}
            if None in known.values():
                raise ValueError("what is not known is left out")
            return cls(**known, tags=_parse_tags(value["tags"]) if "tags" in value else {})
        except (ValueError, RecursionError) as error:
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
            raise BitstreamError(f"the metadata are malformed ({reason}): whoever wrote them has a fault") from None


def _canonical(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is no whole number")


def _parse_tags(value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict) or not value:
        raise ValueError("tags are an object of at least one")
    tags = {}
    for name, given in value.items():
        if isinstance(given, list) and len(given) < 2:
            raise ValueError(f"the tag {name[:40]!r} is a list without several values")
        tags[name] = tuple(given) if isinstance(given, list) else (given,)
    return tags
