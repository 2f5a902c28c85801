"""Entropy coding of codes, the same on every machine: a context model in integers, and rANS."""

from codec.entropy.coder import EntropyCoder
from codec.entropy.tables import EntropyTables

__all__ = ["EntropyCoder", "EntropyTables"]
