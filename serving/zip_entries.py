"""Entries of a zip's directory that can't be taken, and what `zipfile` raises over a damaged one.

Of the ways to compress, bzip2 and LZMA unpack or allocate without bounds there; they are refused.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib

ZIP_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)
_ENCRYPTED = 0x1
_UNIX = 3
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def refusal_of(info: zipfile.ZipInfo) -> str | None:
    """Say why an entry can't be taken; None if it can."""
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == _UNIX else 0
    if kind not in (0, stat.S_IFREG):
        return "it is a link or a device: pack the files themselves"
    if info.flag_bits & _ENCRYPTED:
        return "it is encrypted: pack it without a password"
    if info.compress_type not in _METHODS:
        return "it is compressed by a method that isn't taken: store or deflate it"
    return None
