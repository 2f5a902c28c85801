"""Windows, batches and threads change nothing: the codes are the whole file's."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.audio import read_audio
from codec.chunked import decode_chunked, encode_chunked
from codec.config import CodecConfig
from codec.model import Codec
from codec.nacre.config import NacreConfig
from codec.ragged import encode_ragged

CLIPS = sorted((Path(__file__).parents[1] / "data").glob("*.flac"))
NETWORK = {
    "width": 16,
    "encoder_blocks": 2,
    "decoder_blocks": 3,
    "level_bands": 3,
    "kernel_size": 3,
}
NETWORKS = [
    NacreConfig(**NETWORK),
    NacreConfig(**NETWORK | {"kernel_size": 5}),
    NacreConfig(**NETWORK, causal=True),
]


def pieces(tensor, sizes):
    """Cut [..., N] into pieces, sizes taken in turn."""
    start, turn = 0, 0
    while start < tensor.shape[-1]:
        yield tensor[..., start : start + sizes[turn % len(sizes)]]
        start += sizes[turn % len(sizes)]
        turn += 1


@pytest.fixture(params=NETWORKS, ids=["centred", "wide", "causal"])
def codec(request, make_codec):
    return make_codec(network=request.param)


def test_chunked_equals_whole(codec):
    @settings(max_examples=25, deadline=None)
    @given(st.integers(1, 3000), st.lists(st.integers(1, 900), min_size=1, max_size=4), st.integers(1, 40))
    def check(length, sizes, window):
        audio = 0.1 * torch.randn(2, 1, length)
        whole = codec.encode(audio)
        codes = torch.cat(list(encode_chunked(codec, pieces(audio, sizes), window_frames=window)), -1)
        assert torch.equal(codes, whole)
        decoded = torch.cat(list(decode_chunked(codec, pieces(codes, sizes), window_frames=window)), -1)
        torch.testing.assert_close(decoded, codec.decode(codes), atol=1e-5, rtol=0)

    check()


def changed(function, size, at):
    """Return the first and last column of `function`'s output that input column `at` of `size` reaches."""
    plain = torch.randn(size)
    touched = plain.clone()
    touched[..., at] += 10.0
    difference = (function(touched) - function(plain)).abs().amax((0, 1)).nonzero()[:, 0]
    return int(difference[0]), int(difference[-1])


def test_contexts_are_exact(codec):
    """No neighbour too few, and none too many: what one hop touches is what the contexts say."""
    network, hop, middle = codec.config.network, codec.config.hop_length, 50
    with torch.inference_mode():
        for name, parameter in codec.named_parameters():
            if name.endswith(("scale", "project.weight")):
                parameter.normal_()
        first = changed(codec.encoder, (1, 1, 100 * hop), slice(middle * hop, (middle + 1) * hop))
        last = changed(codec.decoder, (1, 8, 100), middle)
    encoder, decoder = network.encoder_context(hop), network.decoder_context(hop)
    assert first == (middle - encoder.right, middle + encoder.left)
    assert (last[0] // hop, last[1] // hop) == (middle - decoder.right, middle + decoder.left)


def test_batches_of_different_lengths_give_what_each_gets_alone(codec):
    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.integers(1, 900), min_size=1, max_size=5), st.integers(1, 4))
    def check(lengths, stages):
        audio = 0.1 * torch.randn(len(lengths), 1, max(lengths))
        codes = encode_ragged(codec, audio, torch.tensor(lengths), num_quantizers=stages)
        for item, length in enumerate(lengths):
            alone = codec.encode(audio[item : item + 1, :, :length], num_quantizers=stages)[0]
            assert torch.equal(codes[item, :, : alone.shape[-1]], alone)
            assert not codes[item, :, alone.shape[-1] :].any()

    check()


def test_lengths_beyond_the_audio_are_refused(make_codec):
    with pytest.raises(ValueError, match="lengths is"):
        encode_ragged(make_codec(), torch.zeros(2, 1, 100), torch.tensor([100, 101]))


@pytest.fixture(scope="module")
def clips():
    return [torch.from_numpy(read_audio(path).samples[:1, :40_000])[None] for path in CLIPS]


@pytest.fixture(scope="module", params=[False, True], ids=["centred", "causal"])
def full_size(request, clips):
    """The size of the shipped 16 kHz model, its codebooks from real audio."""
    torch.manual_seed(0)
    codec = Codec(CodecConfig(name="full", network=NacreConfig(causal=request.param))).eval()
    audio = torch.cat([clip[..., :20_000] for clip in clips if clip.shape[-1] >= 20_000])
    codec.initialize_network(audio)
    latents = torch.cat([codec.encoder(clip) for clip in clips], -1)[0].T.detach()
    for stage in range(12):
        codec.quantizer.codebooks[stage] = latents[torch.randint(len(latents), (1024,))] * 0.6**stage
    return codec


def test_real_clips_get_the_same_codes_in_every_way(full_size, clips):
    for index, clip in enumerate(clips):
        whole = full_size.encode(clip)
        chunked = encode_chunked(full_size, pieces(clip, [1700, 333]), window_frames=1 + index * 3)
        assert torch.equal(torch.cat(list(chunked), -1), whole)
    shortest = min(clip.shape[-1] for clip in clips)
    lengths = torch.tensor([shortest, 5000, 321, shortest - 1, 1])
    audio = torch.cat([clip[..., :shortest] for clip in clips[: len(lengths)]])
    codes = encode_ragged(full_size, audio, lengths)
    for item, length in enumerate(lengths.tolist()):
        alone = full_size.encode(audio[item : item + 1, :, :length])[0]
        assert torch.equal(codes[item, :, : alone.shape[-1]], alone)
