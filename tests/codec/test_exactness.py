"""Every family, coded in every way: the codes of the whole file, its audio within 1e-5, its length to the sample."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.audio import read_audio
from codec.chunked import can_chunk, decode_chunked, encode_chunked
from codec.config import CodecConfig, QuantizerConfig
from codec.errors import CapabilityError
from codec.model import Codec
from codec.ragged import decode_ragged, encode_ragged
from codec.seanet.config import SeanetConfig

HOP = 30
CAUSAL = ["nacre-causal", "encodec", "encodec-constant", "seanet-reflect", "soundstream"]
BOUNDED = ["nacre", "nacre-causal", "dac", "dac-wide", "seanet-reflect", "soundstream", "centred", "centred-constant"]
CHUNKED = [*BOUNDED, "encodec", "encodec-constant"]
WHOLE_ONLY = ["centred-lstm", "time-group"]
EVERY = [*CHUNKED, *WHOLE_ONLY]
CLIP = Path(__file__).parents[1] / "data" / "speech_en_allison_1.flac"

LENGTHS = st.one_of(st.integers(1, HOP + 1), st.integers(1, 25 * HOP))
SIZES = st.one_of(st.sampled_from([[1], [HOP], [7 * HOP]]), st.lists(st.integers(1, 200), min_size=1, max_size=4))


def pieces(tensor, sizes):
    """Cut [..., N] into pieces, sizes taken in turn."""
    start = turn = 0
    while start < tensor.shape[-1]:
        yield tensor[..., start : start + sizes[turn % len(sizes)]]
        start += sizes[turn % len(sizes)]
        turn += 1


def streamed(stream, audio, sizes):
    """Return the codes and audio of all pieces together."""
    codes, decoded = [], []
    for piece in pieces(audio, sizes):
        codes.append(stream.encode(piece))
        decoded.append(stream.decode(codes[-1]))
    codes.append(stream.finish_encoding())
    decoded += [stream.decode(codes[-1]), stream.finish_decoding()]
    return torch.cat(codes, -1), torch.cat(decoded, -1)


def assert_same_audio(audio, expected):
    torch.testing.assert_close(audio, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", CAUSAL)
def test_streamed_equals_whole(kinds, kind, threads, set_threads):
    set_threads(threads)
    codec = kinds(kind)

    @settings(max_examples=20)
    @given(LENGTHS, SIZES, st.integers(1, 2), st.integers(1, 3))
    def check(length, sizes, batch, stages):
        audio = 0.1 * torch.randn(batch, 1, length)
        whole = codec.encode(audio, num_quantizers=stages)
        with codec.streaming(batch, num_quantizers=stages) as stream:
            codes, decoded = streamed(stream, audio, sizes)
        assert torch.equal(codes, whole)
        assert_same_audio(decoded, codec.decode(whole))

    check()


def test_finishing_begins_anew(kinds):
    codec, audio = kinds("encodec"), 0.1 * torch.randn(1, 1, 10 * HOP + 7)
    with codec.streaming() as stream:
        for _ in range(2):
            codes, decoded = streamed(stream, audio, [HOP])
            assert torch.equal(codes, codec.encode(audio))
            assert_same_audio(decoded, codec.decode(codes))


@pytest.mark.parametrize("denoise", [False, True])
def test_a_stream_denoises_from_its_opening_on(kinds, denoise):
    codec, audio = kinds("soundstream"), 0.1 * torch.randn(2, 1, 400)
    with codec.streaming(2, denoise=denoise) as stream:
        for _ in range(2):
            codes, _ = streamed(stream, audio, [77])
            assert torch.equal(codes, codec.encode(audio, denoise=denoise))
            assert not torch.equal(codes, codec.encode(audio, denoise=not denoise))


def test_a_stream_of_a_codec_without_the_condition_refuses_to_denoise(kinds):
    with pytest.raises(CapabilityError, match="can't denoise"), kinds("encodec").streaming(denoise=True):
        pass


@pytest.mark.parametrize(("kind", "hops", "frames"), [("soundstream", 1, 1), ("seanet-reflect", 7, 7)])
def test_a_stream_waits_for_its_hop_and_when_it_reflects_first_for_a_kernel(kinds, kind, hops, frames):
    """`latency_samples` is what each hop waits for; the start is in the module's docstring."""
    codec = kinds(kind)
    assert codec.config.latency_samples == HOP
    with codec.streaming() as stream:
        counts = [stream.encode(0.1 * torch.randn(1, 1, HOP)).shape[-1] for _ in range(10)]
        assert counts == [0] * (hops - 1) + [hops] + [1] * (10 - hops)
        samples = [stream.decode(torch.zeros(1, 3, 1, dtype=torch.long)).shape[-1] for _ in range(10)]
        assert samples == [0] * (frames - 1) + [frames * HOP] + [HOP] * (10 - frames)


@pytest.mark.parametrize("kind", CHUNKED)
def test_chunked_equals_whole(kinds, kind):
    codec = kinds(kind)

    @settings(max_examples=20)
    @given(LENGTHS, st.lists(st.integers(1, 900), min_size=1, max_size=3), st.sampled_from([1, 2, 3, 7, 20]))
    def check(length, sizes, window):
        audio = 0.1 * torch.randn(2, 1, length)
        whole = codec.encode(audio)
        codes = torch.cat(list(encode_chunked(codec, pieces(audio, sizes), window_frames=window)), -1)
        assert torch.equal(codes, whole)
        decoded = torch.cat(list(decode_chunked(codec, pieces(codes, sizes), window_frames=window)), -1)
        assert_same_audio(decoded, codec.decode(whole))

    check()


@pytest.mark.parametrize("kind", WHOLE_ONLY)
def test_what_reaches_over_the_whole_file_says_so(kinds, kind):
    codec = kinds(kind)
    assert not can_chunk(codec.config)
    with pytest.raises(CapabilityError, match=f"'{kind}' can't be coded in chunks"):
        encode_chunked(codec, [])
    with pytest.raises(CapabilityError, match=f"'{kind}' can't be coded in chunks"):
        decode_chunked(codec, [])


def reached(function, size, at):
    """Return the first and last column of `function`'s output that columns `at` of its input reach."""
    plain = torch.randn(size, dtype=torch.float64)
    touched = plain.clone()
    touched[..., at] += 10.0
    difference = (function(touched) - function(plain)).abs().amax((0, 1)).nonzero()[:, 0]
    return int(difference[0]), int(difference[-1])


@pytest.mark.parametrize("kind", ["dac", "dac-wide", "soundstream", "centred-constant"])
def test_contexts_are_exact(kinds, kind):
    """No neighbour too few, and none too many: what one hop touches is what the contexts say."""
    codec = kinds(kind)
    network, middle = codec.config.network, 50
    encoder, decoder = network.encoder_context(HOP), network.decoder_context(HOP)
    codec.double()
    try:
        with torch.no_grad():
            first = reached(codec.encoder, (1, 1, 100 * HOP), slice(middle * HOP, (middle + 1) * HOP))
            last = reached(codec.decoder, (1, 8, 100), middle)
    finally:
        codec.float()
    assert first == (middle - encoder.right, middle + encoder.left)
    assert (last[0] // HOP, last[1] // HOP) == (middle - decoder.right, middle + decoder.left)


@pytest.mark.parametrize("kind", EVERY)
def test_batches_of_different_lengths_give_what_each_gets_alone(kinds, kind):
    codec = kinds(kind)

    @settings(max_examples=10)
    @given(st.lists(st.integers(1, 400), min_size=1, max_size=4), st.integers(1, 3))
    def check(lengths, stages):
        lengths = [*lengths, lengths[0]]
        audio = 0.1 * torch.randn(len(lengths), 1, max(lengths))
        codes = encode_ragged(codec, audio, torch.tensor(lengths), num_quantizers=stages)
        counts = [codec.config.num_frames(length) for length in lengths]
        decoded = decode_ragged(codec, codes, torch.tensor(counts))
        assert decoded.shape == (len(lengths), 1, codes.shape[-1] * HOP)
        for item, (length, count) in enumerate(zip(lengths, counts, strict=True)):
            alone = codec.encode(audio[item : item + 1, :, :length], num_quantizers=stages)
            assert torch.equal(codes[item : item + 1, :, :count], alone)
            assert not codes[item, :, count:].any()
            assert_same_audio(decoded[item : item + 1, :, : count * HOP], codec.decode(alone))
            assert not decoded[item, :, count * HOP :].any()

    check()


def test_counts_beyond_the_codes_are_refused(kinds):
    with pytest.raises(ValueError, match=r"frame_counts is \(0, 4\)"):
        decode_ragged(kinds("dac"), torch.zeros(2, 3, 4, dtype=torch.long), torch.tensor([0, 4]))


@pytest.mark.parametrize("kind", EVERY)
def test_every_length_comes_back_to_the_sample(kinds, kind):
    """From a sample to three hops, each in every way the family has."""
    codec = kinds(kind)
    for length in range(1, 3 * HOP + 1):
        audio = 0.1 * torch.randn(1, 1, length)
        codes = codec.encode(audio)
        frames = codec.config.num_frames(length)
        assert codes.shape == (1, 3, frames)
        assert codec.decode(codes, num_samples=length).shape == audio.shape
        if kind in CHUNKED:
            assert sum(part.shape[-1] for part in decode_chunked(codec, [codes], window_frames=1)) == frames * HOP
        if kind in CAUSAL:
            with codec.streaming() as stream:
                codes, decoded = streamed(stream, audio, [HOP])
            assert (codes.shape[-1], decoded.shape[-1]) == (frames, frames * HOP)


def encodec_24k():
    """Return EnCodec at 24 kHz in full size but for its codebooks, which speech fills."""
    torch.manual_seed(0)
    quantizer = QuantizerConfig(num_quantizers=8, codebook_size=1024)
    config = CodecConfig(
        name="encodec",
        family="seanet",
        sample_rate=24_000,
        latent_dim=128,
        quantizer=quantizer,
        network=SeanetConfig(),
    )
    return Codec(config).eval()


@pytest.mark.parametrize("threads", [1, 2])
def test_speech_through_a_model_of_full_size(threads, set_threads):
    set_threads(threads)
    codec = encodec_24k()
    audio = torch.from_numpy(read_audio(CLIP).samples[:, :16_123])[None]
    with torch.inference_mode():
        latents = codec.encoder(audio)[0].T
    for stage in range(8):
        rows = latents[torch.randint(len(latents), (1024,))]
        codec.quantizer.codebooks[stage] = (rows + 0.1 * torch.randn_like(rows)) * 0.6**stage
    whole = codec.encode(audio)
    for sizes in ([320], [7 * 320], [1000, 1, 333, 2000]):
        with codec.streaming() as stream:
            codes, decoded = streamed(stream, audio, sizes)
        assert torch.equal(codes, whole)
        assert_same_audio(decoded, codec.decode(whole))


def test_files_longer_than_a_window_are_what_one_pass_gives():
    codec = encodec_24k()
    length = 2 * codec.encoder.window + 12_345
    audio = 0.1 * torch.randn(2, 1, length, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        latents = codec.encoder(audio)
        reconstruction = codec.decoder(latents)
    with torch.inference_mode():
        torch.testing.assert_close(codec.encoder(audio), latents, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(codec.decoder(latents), reconstruction, atol=1e-5, rtol=1e-4)
    whole = codec.encode(audio)
    with codec.streaming(2) as stream:
        codes, decoded = streamed(stream, audio, [5000, 33_333])
    assert torch.equal(codes, whole)
    assert_same_audio(decoded, codec.decode(whole))
