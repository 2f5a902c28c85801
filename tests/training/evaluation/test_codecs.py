import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from codec.audio import Audio, read_audio, resample
from codec.errors import BitrateError, BitstreamError, CapabilityError, MissingToolError, NacreError
from codec.package import open_package
from codec.weights import write_package
from tiny import tiny_codec
from training.evaluation.codecs import catalogue
from training.evaluation.codecs.catalogue import MUSIC_SPECS, SPEECH_SPECS, peer_point
from training.evaluation.codecs.lyra import LyraPoint, pack_nibbles, unpack_nibbles
from training.evaluation.codecs.nacre import NacrePoint

CLIPS = Path(__file__).parents[2] / "data"
SPEECH = "speech_ru_shmyrev_1.flac"
MUSIC = "music_van_theme.flac"
STEREO = "music_farewell.flac"
TOOLS = {
    "opus": ("opusenc", "opusdec"),
    "mp3": ("lame",),
    "aac": ("ffmpeg",),
    "vorbis": ("oggenc", "oggdec"),
    "speex": ("speexenc", "speexdec"),
    "amrwb": ("ffmpeg",),
    "lc3": ("elc3", "dlc3"),
    "codec2": ("c2enc", "c2dec"),
    "flac": ("flac",),
    "pcm": (),
}
# The least correlation with the source, and how much more or less than the nominal bitrate a clip may take.
POINTS = {
    "opus:6": (0.75, 0.25),
    "opus:12": (0.9, 0.25),
    "opus:24": (0.95, 0.25),
    "mp3:16": (0.9, 0.2),
    "mp3:24": (0.95, 0.15),
    "mp3:64": (0.98, 0.15),
    "aac:24": (0.95, 0.15),
    "vorbis:24": (0.95, 0.4),
    "speex:12.8": (0.8, 0.15),
    "amrwb:6.6": (0.8, 0.15),
    "amrwb:23.85": (0.9, 0.1),
    "lc3:16": (0.9, 0.15),
    "lc3:32": (0.95, 0.15),
    "flac": (0.9999, None),
    "pcm": (0.9999, None),
}
MONO = ("speex:12.8", "amrwb:12.65", "codec2:3.2")
MUSIC_POINTS = ("opus:48", "aac:64", "mp3:64", "vorbis:64", "lc3:64", "flac", "pcm")


def with_tools(*specs):
    return [pytest.param(spec, marks=pytest.mark.needs_tool(*TOOLS[spec.partition(":")[0]])) for spec in specs]


def clip(name, seconds=4.0, start_s=0.5):
    audio = read_audio(CLIPS / name)
    first, length = int(start_s * audio.sample_rate), int(seconds * audio.sample_rate)
    return Audio(samples=audio.samples[:, first : first + length], sample_rate=audio.sample_rate)


def code(spec, audio):
    """Code a clip, and check what holds for every codec."""
    point = peer_point(spec)
    if spec.startswith("amrwb") and "amrwb" in catalogue.missing_tools() and os.environ.get("NACRE_CI") != "1":
        pytest.skip("this ffmpeg has no encoder for AMR-WB")
    coded = point.code(audio)
    assert coded.reconstruction.samples.shape == audio.samples.shape
    assert coded.reconstruction.samples.dtype == np.float32
    assert coded.reconstruction.sample_rate == audio.sample_rate
    assert coded.num_bytes > 0
    assert coded.encode_s > 0
    assert coded.decode_s > 0
    assert np.isfinite(coded.reconstruction.samples).all()
    return coded


def lag_and_correlation(source, reconstruction):
    """Return by how many samples one channel is later than the other, and their correlation there."""
    size = 1 << (2 * len(source) - 1).bit_length()
    spectrum = np.conj(np.fft.rfft(source, size)) * np.fft.rfft(reconstruction, size)
    products = np.fft.irfft(spectrum, size)
    best = int(np.argmax(products))
    energy = np.sqrt(np.sum(source**2) * np.sum(reconstruction**2))
    return best if best < size // 2 else best - size, products[best] / energy


def aligned(audio, coded, least_correlation, most_lag=2):
    for source, reconstruction in zip(audio.samples, coded.reconstruction.samples, strict=True):
        lag, correlation = lag_and_correlation(source, reconstruction)
        assert abs(lag) <= most_lag
        assert correlation >= least_correlation


@pytest.mark.parametrize("spec", with_tools(*POINTS))
def test_speech_keeps_its_shape_place_and_bitrate(spec):
    audio = clip(SPEECH, seconds=6.0)
    coded = code(spec, audio)
    least_correlation, tolerance = POINTS[spec]
    aligned(audio, coded, least_correlation)
    nominal = peer_point(spec).bitrate_kbps
    if tolerance is None:
        assert nominal is None
    else:
        assert coded.num_bytes * 8 / audio.seconds / 1000 == pytest.approx(nominal, rel=tolerance)


@pytest.mark.parametrize("spec", with_tools(*MUSIC_POINTS))
@pytest.mark.parametrize("name", [MUSIC, STEREO])
def test_music_keeps_its_shape_and_place(spec, name):
    audio = clip(name, seconds=3.0)
    aligned(audio, code(spec, audio), 0.85)


@pytest.mark.parametrize("spec", with_tools("opus:64", "aac:64", "mp3:64", "vorbis:64", "lc3:96"))
def test_stereo_channels_keep_their_sides(spec):
    audio = clip(SPEECH, seconds=2.0)
    quiet = clip("speech_en_allison_1.flac", seconds=2.0).samples / 2
    stereo = Audio(samples=np.concatenate([audio.samples, quiet]), sample_rate=16_000)
    aligned(stereo, code(spec, stereo), 0.9)


@pytest.mark.parametrize("spec", with_tools(*MONO))
def test_mono_codecs_refuse_stereo(spec):
    point = peer_point(spec)
    if catalogue.missing_tools().get(point.codec) and os.environ.get("NACRE_CI") != "1":
        pytest.skip("a part of ffmpeg is missing")
    with pytest.raises(CapabilityError, match="at most 1 channel"):
        point.code(clip(STEREO, seconds=0.5))


@pytest.mark.parametrize("mode", ["1.2", "1.3", "1.4", "1.6", "2.4", "3.2"])
@pytest.mark.needs_tool("c2enc", "c2dec")
def test_codec2_keeps_the_envelope_in_place(mode):
    audio = clip(SPEECH, seconds=6.0)
    coded = code(f"codec2:{mode}", audio)
    window = np.hanning(400) / 200  # 25 ms
    envelopes = [np.convolve(np.abs(a.samples[0]), window, "same") for a in (audio, coded.reconstruction)]
    lag, correlation = lag_and_correlation(*(envelope - envelope.mean() for envelope in envelopes))
    assert abs(lag) < 0.01 * 16_000
    assert correlation > 0.7
    assert coded.num_bytes * 8 / audio.seconds / 1000 == pytest.approx(float(mode), rel=0.1)


@pytest.mark.parametrize(
    "spec", with_tools("opus:12", "mp3:24", "aac:24", "vorbis:32", *MONO, "amrwb:6.6", "lc3:16", "flac", "pcm")
)
@pytest.mark.parametrize(("rate", "num_samples"), [(16_000, 4800), (16_000, 12_347), (44_100, 13_231), (8_000, 2401)])
def test_short_and_odd_lengths_come_back_exactly(spec, rate, num_samples):
    audio = resample(clip(SPEECH, seconds=2.0), rate)
    code(spec, Audio(samples=np.ascontiguousarray(audio.samples[:, :num_samples]), sample_rate=rate))


@pytest.mark.parametrize("spec", with_tools("opus:24", "mp3:64", "lc3:32", "speex:27.8", "amrwb:23.85"))
def test_the_end_is_not_lost(spec):
    audio = clip(SPEECH, seconds=1.857)  # it ends in a vowel
    tail = 16_000 // 20
    before, after = (a.samples[0, -tail:] for a in (audio, code(spec, audio).reconstruction))
    assert lag_and_correlation(before, after)[1] > 0.8


@pytest.mark.needs_tool("flac")
def test_lossless_codecs_give_back_16_bit_samples_exactly():
    audio = clip(STEREO, seconds=1.0)
    for spec in ("flac", "pcm"):
        np.testing.assert_array_equal(code(spec, audio).reconstruction.samples, audio.samples)
    assert code("flac", audio).num_bytes < 0.95 * code("pcm", audio).num_bytes
    assert code("pcm", audio).num_bytes == 44 + 2 * audio.samples.size


def test_what_is_too_loud_for_16_bits_is_clipped():
    audio = Audio(samples=np.array([[1.5, 1.0, -1.0, -2.0]], np.float32), sample_rate=8000)
    reconstruction = code("pcm", audio).reconstruction.samples
    np.testing.assert_array_equal(reconstruction, [[32767 / 32768, 32767 / 32768, -1, -1]])


def program(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_flac_that_loses_samples_is_an_error(tmp_path, monkeypatch):
    lossy = 'case "$*" in *--decode*) head -c -2 coded.flac > decoded.wav; printf zz >> decoded.wav;; '
    program(tmp_path, "flac", lossy + "*) cp source.wav coded.flac;; esac")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(BitstreamError, match="other samples"):
        peer_point("flac").code(clip(SPEECH, seconds=0.5))


def test_a_program_that_fails_is_quoted(tmp_path, monkeypatch):
    program(tmp_path, "lame", "echo first >&2; echo 'no such luck' >&2; exit 3")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(CapabilityError, match=r"^lame failed \(3\): no such luck$"):
        peer_point("mp3:24").code(clip(SPEECH, seconds=0.5))


@pytest.mark.needs_tool("oggenc", "oggdec")
def test_oggenc_says_which_bitrates_it_lacks():
    with pytest.raises(CapabilityError, match=r"oggenc failed .*: .*bitrate"):
        peer_point("vorbis:16").code(clip(STEREO, seconds=0.5))


@pytest.mark.parametrize(
    ("spec", "package"),
    [
        ("opus:12", "opus-tools"),
        ("mp3:24", "lame"),
        ("aac:64", "ffmpeg"),
        ("vorbis:64", "vorbis-tools"),
        ("speex:12.8", "speex"),
        ("amrwb:6.6", "ffmpeg libavcodec-extra"),
        ("lc3:16", "liblc3-tools"),
        ("codec2:3.2", "codec2"),
        ("flac", "flac"),
    ],
)
def test_a_missing_program_is_named_with_its_package(spec, package, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match=rf"apt-get install {package}\)$"):
        peer_point(spec).code(clip(SPEECH, seconds=0.5))
    assert catalogue.missing_tools()[spec.partition(":")[0]] == tuple(package.split())
    assert catalogue.available() == ("pcm",)


def test_an_ffmpeg_without_amr_wb_is_told_apart(tmp_path, monkeypatch):
    program(tmp_path, "ffmpeg", "echo ' A..... aac  AAC (Advanced Audio Coding)'")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match=r"libvo_amrwbenc.*apt-get install libavcodec-extra\)$"):
        peer_point("amrwb:6.6").code(clip(SPEECH, seconds=0.5))
    assert "aac" in catalogue.available()
    assert "amrwb" not in catalogue.available()


@pytest.mark.parametrize("spec", [*SPEECH_SPECS, *MUSIC_SPECS])
def test_every_default_spec_names_a_point(spec):
    point = peer_point(spec)
    assert spec == (point.codec if point.bitrate_kbps is None else f"{point.codec}:{point.bitrate_kbps:g}")


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("opus", BitrateError),
        ("opus:", BitrateError),
        ("opus:low", BitrateError),
        ("opus:nan", BitrateError),
        ("opus:inf", BitrateError),
        ("opus:5", BitrateError),
        ("opus:-12", BitrateError),
        ("opus:12:3", BitrateError),
        ("mp3:25", BitrateError),
        ("speex:13", BitrateError),
        ("amrwb:12", BitrateError),
        ("codec2:3", BitrateError),
        ("lc3:12", BitrateError),
        ("lyra:7", MissingToolError),
        ("lyra:6", MissingToolError),
        ("flac:64", CapabilityError),
        ("pcm:", CapabilityError),
        ("wma:64", CapabilityError),
        ("", CapabilityError),
    ],
)
def test_a_bad_spec_is_one_sentence(spec, error):
    with pytest.raises(error) as raised:
        peer_point(spec)
    assert isinstance(raised.value, NacreError)
    assert "\n" not in str(raised.value)


def test_a_point_tells_itself_apart():
    """Its repr is what a score that was kept is recognized by."""
    points = [peer_point(spec) for spec in {*SPEECH_SPECS, *MUSIC_SPECS}]
    assert len({repr(point) for point in points}) == len(points)
    assert repr(peer_point("opus:12")) == repr(peer_point("opus:12"))


@pytest.fixture
def package(tmp_path):
    return write_package(tmp_path / "package", tiny_codec(), metrics={}, lineage={})


def nacre_point(package, directory=None):
    directory = directory or package.directory
    return NacrePoint(name="tiny:3", directory=directory, content_hash=package.content_hash, bitrate_kbps=2.0)


def test_our_codec_goes_through_its_container(package):
    audio = clip(SPEECH, seconds=1.0)
    audio = Audio(samples=audio.samples[:, :12_347], sample_rate=audio.sample_rate)
    coded = nacre_point(package).code(audio)
    assert coded.reconstruction.samples.shape == audio.samples.shape
    assert coded.reconstruction.sample_rate == audio.sample_rate
    assert 2 * 1000 / 8 * audio.seconds < coded.num_bytes < 2 * 1000 / 8 * audio.seconds + 200
    assert coded.encode_s > 0
    assert nacre_point(package).codec == "tiny:3"


def test_our_codec_is_loaded_once(package):
    audio = clip(SPEECH, seconds=0.3)
    first, second = nacre_point(package), nacre_point(package)
    samples = first.code(audio).reconstruction.samples
    shutil.rmtree(package.directory)
    np.testing.assert_array_equal(second.code(audio).reconstruction.samples, samples)


def test_our_codec_is_the_same_wherever_it_lies(package, tmp_path):
    copy = shutil.copytree(package.directory, tmp_path / "copy")
    assert open_package(copy).content_hash == package.content_hash
    assert repr(nacre_point(package)) == repr(nacre_point(package, copy))


def test_our_stereo_codec_refuses_mono(tmp_path):
    package = write_package(tmp_path / "stereo", tiny_codec(channels=2), metrics={}, lineage={})
    with pytest.raises(CapabilityError, match="2 channels at a time, and the clip has 1"):
        nacre_point(package).code(clip(SPEECH, seconds=0.3))


def test_lyra_packs_two_indices_to_a_byte():
    indices = np.random.default_rng(1).integers(0, 16, (7, 46)).astype(np.uint8)
    data = pack_nibbles(indices)
    assert len(data) == 7 * 23
    assert data[0] == indices[0, 0] * 16 + indices[0, 1]
    np.testing.assert_array_equal(unpack_nibbles(data, 46), indices)


def test_lyra_says_which_file_is_missing(tmp_path):
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(MissingToolError, match=r"lacks soundstream_encoder.tflite"):
        LyraPoint(6.0, tmp_path).code(clip(SPEECH, seconds=0.3))
    (tmp_path / "soundstream_encoder.tflite").write_bytes(b"no graph")
    with pytest.raises(MissingToolError, match="is no graph of Lyra v2"):
        LyraPoint(6.0, tmp_path).code(clip(SPEECH, seconds=0.3))


def test_lyra_refuses_stereo_and_other_bitrates(tmp_path):
    with pytest.raises(CapabilityError):
        LyraPoint(6.0, tmp_path).code(clip(STEREO, seconds=0.3))
    with pytest.raises(BitrateError, match=r"choose one of 3.2, 6, 9.2"):
        peer_point("lyra:7", tmp_path)


@pytest.mark.skipif("NACRE_LYRA" not in os.environ, reason="NACRE_LYRA names no folder of Lyra's graphs")
@pytest.mark.parametrize("bitrate", [3.2, 6.0, 9.2])
@pytest.mark.parametrize(("rate", "num_samples"), [(16_000, 64_000), (16_000, 4801), (44_100, 100_001)])
def test_lyra_keeps_shape_place_and_bitrate(bitrate, rate, num_samples):
    audio = resample(clip(SPEECH, seconds=4.0), rate)
    audio = Audio(samples=np.ascontiguousarray(audio.samples[:, :num_samples]), sample_rate=rate)
    coded = peer_point(f"lyra:{bitrate:g}", Path(os.environ["NACRE_LYRA"])).code(audio)
    assert coded.reconstruction.samples.shape == audio.samples.shape
    aligned(audio, coded, 0.5 if num_samples < 5000 else 0.75, most_lag=3 * rate // 16_000)
    frames = -(-audio.num_samples * 16_000 // rate // 320)
    assert coded.num_bytes == pytest.approx(frames * bitrate * 1000 / 50 / 8, abs=bitrate * 2.5)
