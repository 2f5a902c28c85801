import contextlib
import io

import numpy as np
import pytest
import soundfile

from codec.audio import Audio, AudioLimits, audio_bytes, probe_audio, read_audio, resample, write_audio
from codec.errors import AudioError, LimitError, MissingToolError


def tone(channels=1, seconds=0.5, sample_rate=16000):
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    wave = 0.3 * np.sin(2 * np.pi * 440 * t)
    return Audio(samples=np.tile(wave, (channels, 1)).astype(np.float32), sample_rate=sample_rate)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "opus", "mp3", "aiff"])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_reads_back(tmp_path, suffix, channels):
    path = tmp_path / f"a.{suffix}"
    write_audio(path, tone(channels))
    for source in (path, io.BytesIO(path.read_bytes())):
        audio = read_audio(source)
        assert (audio.channels, audio.samples.dtype) == (channels, np.float32)
        assert audio.seconds == pytest.approx(0.5, abs=0.1)
        assert np.abs(audio.samples).max() == pytest.approx(0.3, abs=0.08)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_m4a_reads_through_the_optional_package(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone().samples, format="fltp", layout="mono")
        frame.rate = 16000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    for source in (path, io.BytesIO(path.read_bytes())):
        audio = read_audio(source)
        assert (audio.channels, audio.sample_rate) == (1, 16000)
        assert audio.seconds == pytest.approx(0.5, abs=0.15)
    unknown = path.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"free")
    for source in (path, io.BytesIO(unknown)):
        path.write_bytes(unknown)
        with pytest.raises(AudioError, match="codec that isn't known"):
            read_audio(source)
    path.write_bytes(b"not an m4a at all")
    with pytest.raises(AudioError, match=r"'a\.m4a' is not audio"):
        read_audio(path)


def test_m4a_without_the_package_says_what_to_install(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.m4a").write_bytes(b"x")
    with pytest.raises(MissingToolError, match=r"nacre\[m4a\]"):
        read_audio(tmp_path / "a.m4a")


def test_text_named_wav_is_one_clear_error(tmp_path):
    (tmp_path / "a.wav").write_text("hello, I am not audio")
    with pytest.raises(AudioError, match=r"'a\.wav' is not audio"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("data", [b"", b"RIFF", bytes(100)])
def test_garbage_in_memory_is_one_clear_error(data):
    with pytest.raises(AudioError):
        read_audio(io.BytesIO(data))


class Failing(io.BytesIO):
    """A file of which the second half can't be read."""

    def read(self, size=-1):
        if self.tell() >= len(self.getvalue()) // 2:
            raise OSError("the disk is broken")
        return super().read(size)


def test_a_file_that_cannot_be_read_to_its_end_is_one_clear_error(capfd):
    file = Failing(audio_bytes(tone(seconds=20), "wav"))
    with pytest.raises(AudioError, match=r"the audio can't be read \(the disk is broken\)"):
        read_audio(file)
    assert capfd.readouterr().err == ""


def test_damage_in_memory_prints_nothing(capfd):
    data = bytearray(audio_bytes(tone(), "caf"))
    for place in range(20, 80):
        for value in (0x7F, 0x80, 0xFF):
            damaged = data.copy()
            damaged[place] = value
            with contextlib.suppress(AudioError):
                read_audio(io.BytesIO(damaged), AudioLimits(max_seconds=60))
    assert capfd.readouterr().err == ""


def test_a_file_without_samples_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((0, 1)), 16000)
    with pytest.raises(AudioError, match="no samples"):
        read_audio(tmp_path / "a.wav")


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(AudioError, match=r"'none\.wav'"):
        read_audio(tmp_path / "none.wav")


def test_nan_is_refused(tmp_path):
    samples = np.full((100, 1), np.nan, np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match="not finite"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("channels", "rate", "samples", "message"),
    [
        (64, 16000, 10, "64 channels; allowed are 1 to 8"),
        (1, 1, 10, "sample rate of 1 Hz"),
        (1, 2**31 - 1, 10, "sample rate of 2147483647 Hz"),
        (1, 8000, 20 * 8000, "allowed are 10 s"),
    ],
)
def test_claims_beyond_the_limits_are_refused(channels, rate, samples, message):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros((samples, channels), np.int16), rate, format="WAV")
    buffer.seek(0)
    with pytest.raises(LimitError, match=message):
        probe_audio(buffer, AudioLimits(max_seconds=10))


def test_resampled_lengths_are_exact():
    for length in (1, 2, 441, 44107):
        audio = Audio(samples=np.zeros((2, length), np.float32), sample_rate=44100)
        assert resample(audio, 16000).samples.shape == (2, -(-length * 16000 // 44100))


def test_resampling_keeps_a_tone():
    down = resample(tone(sample_rate=48000), 16000)
    np.testing.assert_allclose(down.samples[:, 500:-500], tone(sample_rate=16000).samples[:, 500:-500], atol=2e-3)


def test_an_unwritable_format_leaves_nothing(tmp_path):
    with pytest.raises(AudioError, match=r"can't write 'a\.xyz'"):
        write_audio(tmp_path / "a.xyz", tone())
    with pytest.raises(AudioError, match="can't write opus at 44100 Hz"):
        write_audio(tmp_path / "a.opus", tone(sample_rate=44100))
    assert list(tmp_path.iterdir()) == []


def test_pcm16_round_trip_is_exact():
    pcm = np.random.default_rng(0).integers(-32768, 32768, (1, 1000)).astype(np.int16)
    audio = Audio(samples=(pcm / 32768).astype(np.float32), sample_rate=16000)
    back = read_audio(io.BytesIO(audio_bytes(audio, "wav", "PCM_16")))
    np.testing.assert_array_equal(back.samples, audio.samples)
