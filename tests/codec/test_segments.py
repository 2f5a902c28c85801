"""Coding in segments: each alone, at its own loudness, and joined without a seam."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import segments
from codec.config import CodecConfig
from codec.errors import BitrateError, CapabilityError
from codec.ragged import encode_ragged
from codec.seanet.config import SeanetConfig
from codec.segmentation import Segmentation
from codec.segments import (
    SegmentedCodes,
    decode_segment_blocks,
    decode_segments,
    encode_segment_blocks,
    encode_segments,
    split_segments,
)

LENGTHS = st.one_of(st.integers(1, 1500), st.integers(425, 500), st.integers(860, 920))


@pytest.fixture(scope="module")
def codec(segmented):
    return segmented.codec


def noise(length, items=1):
    generator = torch.Generator().manual_seed(length)
    return 0.1 * torch.randn(items, 2, length, generator=generator)


def test_every_length_comes_back_to_the_sample(codec):
    @settings(max_examples=40)
    @given(LENGTHS, st.integers(1, 4))
    def check(length, stages):
        coded = encode_segments(codec, noise(length, 2), num_quantizers=stages)
        assert coded.codes.shape == (2, stages, codec.config.num_frames(length))
        assert coded.scales.shape == (2, codec.config.segments.count(length))
        assert coded.scales.dtype == torch.float32
        assert decode_segments(codec, coded, num_samples=length).shape == (2, 2, length)

    check()


def test_each_segment_has_the_codes_it_has_alone(codec):
    audio = noise(1200)
    parts = list(split_segments(codec.config, encode_segments(codec, audio), 1200))
    assert [part.codes.shape[-1] for part in parts] == [16, 16, 12]
    for index, part in enumerate(parts):
        segment = audio[..., index * 432 :][..., :480]
        alone = next(split_segments(codec.config, encode_segments(codec, segment), segment.shape[-1]))
        assert torch.equal(part.codes, alone.codes)
        assert torch.equal(part.scales, alone.scales)


def test_blocks_of_any_size_give_the_whole_files_codes(codec):
    @settings(max_examples=30)
    @given(LENGTHS, st.lists(st.integers(0, 1500), max_size=6).map(sorted))
    def check(length, cuts):
        audio = noise(length)
        parts = list(encode_segment_blocks(codec, audio.tensor_split(cuts, dim=-1), num_quantizers=4))
        whole = encode_segments(codec, audio)
        assert torch.equal(torch.cat([part.codes for part in parts], -1), whole.codes)
        assert torch.equal(torch.cat([part.scales for part in parts], -1), whole.scales)

    check()


def test_items_of_a_batch_have_the_codes_they_have_alone(codec):
    audio = noise(1300, 3)
    together = encode_segments(codec, audio)
    for item in range(3):
        alone = encode_segments(codec, audio[item : item + 1])
        assert torch.equal(alone.codes[0], together.codes[item])
        assert torch.equal(alone.scales[0], together.scales[item])


@pytest.mark.parametrize("rows", [2, 3, 16])
def test_how_many_go_through_the_network_at_a_time_changes_nothing(codec, monkeypatch, rows):
    audio = noise(3000, 2)
    alone = encode_segments(codec, audio)
    decoded = decode_segments(codec, alone, num_samples=3000)
    monkeypatch.setitem(segments.ROWS, "cpu", rows)
    together = encode_segments(codec, audio)
    assert torch.equal(together.codes, alone.codes)
    torch.testing.assert_close(together.scales, alone.scales)
    torch.testing.assert_close(decode_segments(codec, together, num_samples=3000), decoded)


def test_loudness_goes_into_the_scales_alone(codec):
    audio = noise(1000)
    plain, louder = (encode_segments(codec, gain * audio) for gain in (1, 4))
    assert torch.equal(plain.codes, louder.codes)
    torch.testing.assert_close(louder.scales, 4 * plain.scales)
    first = audio[..., :480].mean(1).square().mean().sqrt()
    torch.testing.assert_close(plain.scales[0, 0], first)


def test_silence_and_opposite_channels_are_coded(codec):
    opposite = torch.cat([noise(600)[:, :1], -noise(600)[:, :1]], dim=1)
    for audio in (torch.zeros(1, 2, 600), opposite):
        coded = encode_segments(codec, audio)
        assert torch.isfinite(coded.scales).all()
        assert torch.isfinite(decode_segments(codec, coded, num_samples=600)).all()


def test_segments_fade_into_each_other(codec):
    """As the reference says it: every segment weighted by a triangle, and the sum divided by that of the weights."""

    @settings(max_examples=30)
    @given(LENGTHS)
    def check(length):
        coded = encode_segments(codec, noise(length))
        parts = list(split_segments(codec.config, coded, length))
        decoded = [codec.decoder(codec.quantizer.decode(part.codes)) * part.scales[..., None] for part in parts]
        places = torch.arange(1, decoded[0].shape[-1] + 1) / (decoded[0].shape[-1] + 1)
        triangle = 0.5 - (places - 0.5).abs()
        total, weights = torch.zeros(1, 2, length + 480), torch.zeros(length + 480)
        for index, audio in enumerate(decoded):
            place = slice(index * 432, index * 432 + audio.shape[-1])
            total[..., place] += triangle[: audio.shape[-1]] * audio
            weights[place] += triangle[: audio.shape[-1]]
        joined = decode_segments(codec, coded, num_samples=length)
        torch.testing.assert_close(joined, (total / weights)[..., :length], atol=1e-5, rtol=0)

    with torch.inference_mode():
        check()


def test_decoding_can_begin_at_any_segment(codec):
    coded = encode_segments(codec, noise(2000))
    whole = decode_segments(codec, coded, num_samples=2000)
    parts = list(split_segments(codec.config, coded, 2000))
    rest = torch.cat(list(decode_segment_blocks(codec, parts[2:], num_samples=2000, first=2)), dim=-1)
    assert rest.shape[-1] == 2000 - 2 * 432
    torch.testing.assert_close(rest[..., 48:], whole[..., 2 * 432 + 48 :], atol=0, rtol=0)


def test_no_scale_gives_samples_that_are_no_numbers(codec):
    coded = encode_segments(codec, noise(1000))
    huge = SegmentedCodes(coded.codes, torch.full_like(coded.scales, torch.finfo(torch.float32).max))
    decoded = decode_segments(codec, huge, num_samples=1000)
    assert decoded.abs().max() == 1


def test_training_sees_an_item_at_equal_loudness(codec):
    audio = noise(480, 2)
    with torch.no_grad():
        for stages in (None, torch.tensor([4, 2])):
            plain, louder = (codec(gain * audio, stages).reconstruction for gain in (1, 8))
            torch.testing.assert_close(louder, 8 * plain)
        output = codec(audio, torch.tensor([4, 4]))
    coded = next(split_segments(codec.config, encode_segments(codec, audio), 480))
    assert torch.equal(output.codes, coded.codes)


def test_what_would_lose_the_scales_is_refused(codec, make_codec):
    with pytest.raises(CapabilityError, match=r"codes in segments: use codec\.segments"):
        codec.encode(noise(600))
    with pytest.raises(CapabilityError, match="codes in segments"):
        codec.decode(torch.zeros(1, 4, 2, dtype=torch.long))
    with pytest.raises(CapabilityError, match="codes in segments"):
        encode_ragged(codec, noise(600), torch.tensor([600]))
    with pytest.raises(CapabilityError, match="can't stream"), codec.streaming():
        pass
    with pytest.raises(CapabilityError, match="doesn't code in segments"):
        encode_segments(make_codec(), torch.zeros(1, 1, 100))
    with pytest.raises(BitrateError):
        encode_segments(codec, noise(600), num_quantizers=5)


def test_the_configuration_is_kept_and_checked(codec):
    config = codec.config
    assert CodecConfig.from_json(config.to_json()) == config
    whole = dataclasses.replace(config, network=dataclasses.replace(config.network, segments=None))
    assert CodecConfig.from_json(whole.to_json()) == whole
    assert (config.latency_ms, whole.segments) == (None, None)
    with pytest.raises(ValueError, match=r"segments\.length is 470 but must be a multiple of hop_length=30"):
        uneven = dataclasses.replace(config.network, segments=Segmentation(length=470, overlap=0))
        dataclasses.replace(config, network=uneven)
    for change in ({"causal": True}, {"causal": False, "denoising": True}):
        with pytest.raises(ValueError, match="false with segments"):
            SeanetConfig(segments=Segmentation(length=480, overlap=48), **change)
