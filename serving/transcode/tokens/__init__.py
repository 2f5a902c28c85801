"""Codes as food for language models: records of token shards, which `webdataset` reads, and Parquet. docs/tokens.md.

    key.py       a record's name, from its source's
    delay.py     MusicGen's pattern, there and back
    record.py    what a record holds, and reading one
    make.py      a container becomes a record
    parquet.py   records become a Parquet file

Only functions of their arguments: who makes shards, and when, is others' business.

Axes: codes uint16 [S * K, L]: the K stages of the first stream, then those of the second, and so on; L frames.
"""
