"""Coding on a GPU: the nacre family codes as on a CPU and alike in every way; the others do but for near ties.

cuDNN may choose another algorithm, which adds in another order, for each shape.
"""

import copy

import pytest
import torch

from codec.chunked import decode_chunked, encode_chunked

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
AUDIO = 0.1 * torch.randn(1, 1, 30_000, generator=torch.Generator().manual_seed(0))
# The least share of codes that agree.
AGREEMENT = {"nacre": 0.9995, "nacre-causal": 0.9995, "encodec": 0.99, "dac": 0.99, "soundstream": 0.99}
kind_by_kind = pytest.mark.parametrize("kind", AGREEMENT)


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    """Convolve in float32: TF32, torch's default there, changes 2% of the codes of convolutional families."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def assert_agree(codes, expected, kind):
    assert codes.shape == expected.shape
    assert (codes.cpu() == expected.cpu()).float().mean() >= AGREEMENT[kind]


def assert_close(audio, expected):
    torch.testing.assert_close(audio.cpu(), expected.cpu(), atol=1e-4, rtol=0)


@kind_by_kind
def test_codes_are_those_of_a_cpu(kinds, kind):
    codec = kinds(kind)
    on_gpu = copy.deepcopy(codec).cuda()
    codes = codec.encode(AUDIO)
    assert_agree(on_gpu.encode(AUDIO.cuda()), codes, kind)
    assert_close(on_gpu.decode(codes.cuda()), codec.decode(codes))


@kind_by_kind
def test_an_item_is_coded_in_a_batch_as_alone(kinds, kind):
    codec, audio = copy.deepcopy(kinds(kind)).cuda(), AUDIO.cuda()
    batch = torch.cat([audio, audio.flip(-1), audio / 2])
    codes = codec.encode(audio)
    assert_agree(codec.encode(batch)[:1], codes, kind)
    assert_close(codec.decode(codes.expand(3, -1, -1))[1:2], codec.decode(codes))


@kind_by_kind
def test_windows_give_the_codes_of_the_whole(kinds, kind):
    codec, audio = copy.deepcopy(kinds(kind)).cuda(), AUDIO.cuda()
    whole = codec.encode(audio)
    assert_agree(torch.cat([*encode_chunked(codec, [audio], window_frames=64)], -1), whole, kind)
    assert_close(torch.cat([*decode_chunked(codec, [whole], window_frames=64)], -1), codec.decode(whole))
