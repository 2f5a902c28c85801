"""Containers of a codec that codes in segments: whole, in blocks, in part and damaged."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.audio import Audio, AudioLimits, audio_bytes, read_audio
from codec.compress import compress, decompress
from codec.compress_blocks import compress_source, decompress_blocks
from codec.container import read_container, read_header, scan_container, write_container
from codec.errors import AudioError, BitstreamError, CapabilityError, LimitError
from codec.excerpt import decompress_damaged, decompress_excerpt
from codec.model import Codec
from codec.segments import decode_segments, encode_segments
from codec.weights import load_package, write_package

LENGTHS = st.one_of(st.integers(1, 5000), st.integers(425, 500), st.integers(860, 920))
RATES = st.sampled_from([8_000, 11_025, 44_100])


# 16 frames of 4 codes of 4 bits, a scale, and the block's header.
BLOCK_BYTES = 32 + 4 + 11


def noise(num_samples, channels=2, sample_rate=8_000):
    samples = np.random.default_rng(num_samples).standard_normal((channels, num_samples))
    return Audio(samples=0.1 * samples.astype(np.float32), sample_rate=sample_rate)


def test_length_and_rate_come_back_exactly_in_blocks_and_whole(segmented):
    @settings(max_examples=40)
    @given(LENGTHS, RATES, st.integers(1, 4), st.sampled_from([2, 4]))
    def check(num_samples, rate, stages, channels):
        file = io.BytesIO(audio_bytes(noise(num_samples, channels, rate), "wav"))
        data = compress(segmented, read_audio(file), num_quantizers=stages)
        file.seek(0)
        assert compress_source(segmented, file, num_quantizers=stages).data == data
        decoded = decompress(segmented, data)
        assert decoded.samples.shape == (channels, num_samples)
        assert decoded.sample_rate == rate
        blocks = np.concatenate(list(decompress_blocks(segmented, data).blocks), axis=1)
        np.testing.assert_allclose(blocks, decoded.samples, atol=1e-5, rtol=0)

    check()


def test_a_container_holds_what_the_model_gave(segmented):
    audio = noise(2011)
    data = compress(segmented, audio)
    coded = encode_segments(segmented.codec, torch.from_numpy(audio.samples)[None])
    container = read_container(data)
    np.testing.assert_array_equal(container.codes, coded.codes.numpy())
    np.testing.assert_array_equal(container.scales, coded.scales.numpy())
    header = container.header
    assert (header.overlap, header.frames_per_block, header.num_blocks, header.num_streams) == (48, 16, 5, 1)
    np.testing.assert_array_equal(
        decompress(segmented, data).samples, decode_segments(segmented.codec, coded, num_samples=2011)[0].numpy()
    )


def test_any_stretch_is_the_whole_files(segmented):
    @settings(max_examples=40)
    @given(LENGTHS, st.sampled_from([8_000, 11_025]), st.data())
    def check(num_samples, rate, data):
        container = compress(segmented, noise(num_samples, sample_rate=rate))
        whole = decompress(segmented, container).samples
        start = data.draw(st.integers(0, num_samples - 1))
        count = data.draw(st.integers(1, num_samples - start))
        part = decompress_excerpt(
            segmented, io.BytesIO(container), start_s=start / rate, duration_s=count / rate
        ).samples
        np.testing.assert_allclose(part, whole[:, start : start + count], atol=1e-5, rtol=0)

    check()


def test_a_stretch_needs_only_its_own_segments(segmented):
    container = bytearray(compress(segmented, noise(4000)))
    header = read_header(bytes(container))
    container[40 + len(header.codec_name) + 4 + 30] ^= 1
    assert [bad.first for bad in scan_container(bytes(container)).bad] == [0]
    part = decompress_excerpt(segmented, io.BytesIO(bytes(container)), start_s=480 / 8000, duration_s=0.1)
    assert part.num_samples == 800
    with pytest.raises(BitstreamError, match=r"block 0 \(0\.00 to 0\.06 s\)"):
        decompress_excerpt(segmented, io.BytesIO(bytes(container)), start_s=479 / 8000, duration_s=0.1)
    with pytest.raises(LimitError):
        decompress_excerpt(segmented, io.BytesIO(bytes(container)), start_s=0.1, limits=AudioLimits(max_seconds=0.2))


def test_a_lost_segment_leaves_the_others_as_they_are(segmented):
    data = compress(segmented, noise(4000))
    whole = decompress(segmented, data).samples
    start = 40 + len("segmented") + 4 + 3 * BLOCK_BYTES
    concealed = decompress_damaged(segmented, data[:start] + data[start + 5 :])
    assert [str(bad) for bad in concealed.report.bad] == ["block 3 (0.16 to 0.22 s)"]
    same = np.isclose(concealed.audio.samples, whole, atol=1e-6).all(axis=0)
    # Where neighbours overlap the lost one, they fade to and from what is made up.
    assert same[: 3 * 432].all()
    assert same[4 * 432 + 48 :].all()
    assert not same[3 * 432 + 48 : 4 * 432].any()


def test_what_does_not_fit_the_codec_is_refused(segmented):
    with pytest.raises(AudioError, match="1 channels; 'segmented' codes 2 at a time"):
        compress(segmented, noise(1000, channels=1))
    container = read_container(compress(segmented, noise(1000)))
    fields = {**vars(container.header), "overlap": 30}
    forged = type(container.header)(**fields)
    codes = np.zeros((1, 4, forged.num_frames), np.int64)
    with pytest.raises(BitstreamError, match="contradicts the model"):
        decompress(segmented, write_container(forged, codes, np.ones((1, forged.num_blocks), np.float32)))


def test_segments_larger_than_a_block_are_refused(segmented, tmp_path):
    network = vars(segmented.package.config.network) | {"segments": {"length": 450_000, "overlap": 4500}}
    data = vars(segmented.package.config) | {"network": network, "quantizer": vars(segmented.package.config.quantizer)}
    codec = Codec(type(segmented.package.config).from_mapping(data))
    write_package(tmp_path / "p", codec, metrics={}, lineage={})
    with pytest.raises(CapabilityError, match=r"in 10 stream\(s\) of 4 quantizers is more than a container's block"):
        compress(load_package(tmp_path / "p"), noise(500, channels=20))
