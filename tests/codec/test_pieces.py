"""Work on rows in pieces: the same bits, however they are cut."""

import pytest
import torch

from codec import pieces
from codec.pieces import ALIGNED, map_pieces
from tiny import tiny_codec


@pytest.fixture
def small_pieces(monkeypatch, set_threads):
    """Let pieces be as small as they get."""
    set_threads(1)
    monkeypatch.setattr(pieces, "PIECE", 1)


@pytest.mark.parametrize("count", [0, 1, ALIGNED, 47, 48, 79, 80, 1000])
def test_each_row_is_in_one_piece_in_its_place(small_pieces, count):
    seen = []

    def double(rows):
        seen.append(len(rows))
        return 2 * rows

    rows = torch.randn(count, 3)
    with torch.inference_mode():
        assert torch.equal(map_pieces(double, rows, 1000), 2 * rows)
    assert sum(seen) == count
    assert all(size == ALIGNED for size in seen[:-1])
    assert count < ALIGNED or ALIGNED / 2 <= seen[-1] <= 1.5 * ALIGNED


def test_wider_work_is_in_smaller_pieces(set_threads):
    set_threads(1)
    rows, seen = torch.randn(10_000, 1), []
    with torch.inference_mode():
        for width in (100, 1000):
            map_pieces(lambda piece: (seen.append(len(piece)), piece)[1], rows, width)
    assert seen[0] > 5 * seen[-2]


def test_training_works_on_all_rows_at_once(small_pieces):
    seen = []
    map_pieces(lambda rows: (seen.append(len(rows)), rows)[1], torch.randn(100, 3), 10)
    assert seen == [100]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_codec_gives_the_same_bits(monkeypatch, set_threads, threads):
    set_threads(threads)
    codec = tiny_codec()
    audio = 0.1 * torch.randn(2, 1, 400 * codec.config.hop_length + 7, generator=torch.Generator().manual_seed(0))
    whole = codec.encode(audio)
    decoded = codec.decode(whole)
    monkeypatch.setattr(pieces, "PIECE", 1)
    assert torch.equal(codec.encode(audio), whole)
    assert torch.equal(codec.decode(whole), decoded)
