"""Streamed in any pieces, a file gets the codes and the audio that it gets whole."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.audio import read_audio
from codec.config import CodecConfig
from codec.errors import BitrateError, CapabilityError
from codec.model import Codec
from codec.nacre.config import NacreConfig

HOP = 32
CLIP = Path(__file__).parents[1] / "data" / "speech_en_allison_1.flac"


def causal_config(**changes):
    network = {
        "width": 16,
        "encoder_blocks": 2,
        "decoder_blocks": 3,
        "level_bands": 3,
        "kernel_size": 3,
    }
    return NacreConfig(**network | changes, causal=True)


def streamed(stream, audio, sizes):
    """Return the codes and audio of all pieces together, sizes taken in turn."""
    codes, decoded = [], []
    start = turn = 0
    while start < audio.shape[-1]:
        size = sizes[turn % len(sizes)]
        codes.append(stream.encode(audio[..., start : start + size]))
        decoded.append(stream.decode(codes[-1]))
        start, turn = start + size, turn + 1
    codes.append(stream.finish_encoding())
    decoded += [stream.decode(codes[-1]), stream.finish_decoding()]
    return torch.cat(codes, -1), torch.cat(decoded, -1)


@pytest.mark.parametrize(
    "network",
    [
        causal_config(),
        causal_config(kernel_size=5, level_bands=1),
        causal_config(kernel_size=1),
    ],
    ids=["usual", "wide", "pointwise"],
)
def test_streamed_equals_whole(make_codec, network):
    codec = make_codec(channels=2, network=network)

    @settings(max_examples=15, deadline=None)
    @given(
        st.integers(1, 400),
        st.one_of(st.sampled_from([[1], [HOP], [7 * HOP]]), st.lists(st.integers(1, 200), min_size=1, max_size=5)),
        st.integers(1, 2),
        st.integers(1, 4),
    )
    def check(length, sizes, batch, stages):
        audio = 0.1 * torch.randn(batch, 2, length)
        whole = codec.encode(audio, num_quantizers=stages)
        with codec.streaming(batch, num_quantizers=stages) as stream:
            for _ in range(2):  # finishing begins anew
                codes, decoded = streamed(stream, audio, sizes)
                assert torch.equal(codes, whole)
                torch.testing.assert_close(decoded, codec.decode(whole), atol=1e-5, rtol=0)

    check()


def test_speech_through_a_model_of_full_size():
    torch.manual_seed(0)
    codec = Codec(CodecConfig(name="full", network=NacreConfig(causal=True))).eval()
    audio = torch.from_numpy(read_audio(CLIP).samples[:, :20_000])[None]
    codec.initialize_network(audio)
    latents = codec.encoder(audio)[0].T.detach()
    for stage in range(12):
        codec.quantizer.codebooks[stage] = latents[torch.randint(len(latents), (1024,))] * 0.6**stage
    whole = codec.encode(audio)
    for sizes in ([320], [7 * 320], [1000, 1, 333, 2000]):
        with codec.streaming() as stream:
            codes, decoded = streamed(stream, audio, sizes)
        assert torch.equal(codes, whole)
        torch.testing.assert_close(decoded, codec.decode(whole), atol=1e-5, rtol=0)


def test_streams_and_whole_files_share_a_model(make_codec):
    codec = make_codec(network=causal_config())
    first, second = 0.1 * torch.randn(2, 1, 1, 20 * HOP)
    with codec.streaming() as one, codec.streaming() as other:
        mixed = []
        for start in range(0, 20 * HOP, HOP):
            mixed.append(one.encode(first[..., start : start + HOP]))
            other.encode(second[..., start : start + HOP])
            codec.decode(codec.encode(second))
    assert torch.equal(torch.cat(mixed, -1), codec.encode(first))


def test_latency_is_what_the_stream_waits_for(make_codec):
    codec = make_codec(network=causal_config())
    with codec.streaming() as stream:
        heard = 0
        while stream.decode(stream.encode(0.1 * torch.randn(1, 1, 1))).shape[-1] == 0:
            heard += 1
    assert heard + 1 == codec.config.latency_samples == 2 * HOP
    assert codec.config.latency_ms == 8.0


def test_what_can_not_stream_says_so(make_codec):
    with pytest.raises(CapabilityError, match="'tiny' can't stream: only causal"), make_codec().streaming():
        pass
    codec = make_codec(network=causal_config())
    with pytest.raises(BitrateError), codec.streaming(num_quantizers=5):
        pass
    with codec.streaming(2) as stream, pytest.raises(ValueError, match=r"audio.shape is \(1, 1, 5\)"):
        stream.encode(torch.zeros(1, 1, 5))
    with pytest.raises(ValueError, match="closed"):
        stream.encode(torch.zeros(2, 1, 5))
    with pytest.raises(ValueError, match="at least 1"), codec.streaming(0):
        pass
