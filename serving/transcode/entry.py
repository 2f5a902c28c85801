"""One file of a source: its name, what shows that it changed, and where a worker finds its bytes.

All of it is plain text and numbers, so that it can go to another process or machine, and into a database.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["file", "tar", "tar.gz", "zip"]


@dataclass(frozen=True, kw_only=True)
class Locator:
    """Where bytes lie: in the file at `url`, a local path or an fsspec URL, or in the archive there.

    In a tar, `position` is where the content begins, counted in the unpacked stream; in a zip, where its local header
    does, followed by `packed` bytes, which are deflated or stored.
    """

    url: str
    kind: Kind = "file"
    position: int = 0
    packed: int = 0
    deflated: bool = False


@dataclass(frozen=True, kw_only=True)
class Note:
    """A text beside an entry, such as the `txt` or `json` of its WebDataset record."""

    suffix: str
    size: int
    locator: Locator


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file. `name` is relative, with `/`, and safe to repeat under another folder.

    `stamp` differs if the content may (a modification time, an ETag, a CRC): equal stamps and sizes are taken for equal
    content. `checksum`, as `sha256:HEX`, is what the source itself says of the content; a worker refuses any other.
    `refusal` says why it can't be used, if so.
    """

    name: str
    size: int
    stamp: str
    locator: Locator
    mtime_ns: int | None = None
    checksum: str | None = None
    notes: tuple[Note, ...] = ()
    refusal: str | None = None

    def to_json(self) -> str:
        """Return all of it as one line of JSON, without what it doesn't have."""
        given = _given(self) | {"locator": _given(self.locator)}
        if self.notes:
            given["notes"] = [_given(note) | {"locator": _given(note.locator)} for note in self.notes]
        return json.dumps(given, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Entry:
        """Return what `to_json` wrote."""
        given: dict[str, Any] = json.loads(text)
        notes = (Note(**note | {"locator": Locator(**note["locator"])}) for note in given.pop("notes", ()))
        return cls(**given | {"locator": Locator(**given["locator"])}, notes=tuple(notes))


def _given(value: Locator | Note | Entry) -> dict[str, Any]:
    """Return the fields that are not as they are by default; asdict copies, which takes long for a million."""
    fields = vars(value).items()
    return {name: field for name, field in fields if field != _DEFAULTS.get(name, ...)}


_DEFAULTS = {
    field.name: field.default
    for kind in (Locator, Note, Entry)
    for field in dataclasses.fields(kind)
    if field.default is not dataclasses.MISSING
}
