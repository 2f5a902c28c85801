"""Files in blocks give the bytes and samples of files whole, and take no memory for their length."""

import io
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.audio import Audio, AudioLimits, audio_bytes, read_audio, resample
from codec.audio_blocks import fit_blocks, resample_blocks, write_blocks
from codec.compress import compress, decompress
from codec.compress_blocks import compress_source, decompress_blocks
from codec.errors import AudioError, LimitError

RATES = st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000])
MEGABYTE = 1_000_000


def noise(num_samples, channels=1, sample_rate=8_000):
    samples = np.random.default_rng(num_samples).standard_normal((channels, num_samples))
    return Audio(samples=0.1 * samples.astype(np.float32), sample_rate=sample_rate)


def cut(samples, size):
    return [samples[:, start : start + size] for start in range(0, samples.shape[1], size)]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9000), st.integers(1, 2), RATES, RATES, st.integers(50, 5000))
def test_resampled_blocks_are_the_whole_files_samples(num_samples, channels, from_hz, to_hz, size):
    audio = noise(num_samples, channels, from_hz)
    blocks = list(resample_blocks(cut(audio.samples, size), from_hz, to_hz))
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), resample(audio, to_hz).samples)


def test_blocks_are_cut_or_padded_to_length():
    blocks = cut(np.ones((2, 10), np.float32), 4)
    assert [block.shape for block in fit_blocks(blocks, 9)] == [(2, 4), (2, 4), (2, 1)]
    assert np.concatenate(list(fit_blocks(blocks, 12)), axis=1).sum() == 20


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 150_000), st.integers(1, 2), RATES, st.integers(1, 4))
def test_files_in_blocks_equal_files_whole(loaded, num_samples, channels, rate, stages):
    file = io.BytesIO(audio_bytes(noise(num_samples, channels, rate), "wav"))
    told = []
    compressed = compress_source(loaded, file, num_quantizers=stages, progress=lambda *seconds: told.append(seconds))
    file.seek(0)
    assert compressed.data == compress(loaded, read_audio(file), num_quantizers=stages)
    assert told == sorted(told)
    assert told[-1] == (num_samples / rate, num_samples / rate)
    told.clear()
    audio = decompress_blocks(loaded, compressed.data, progress=lambda *seconds: told.append(seconds))
    whole = decompress(loaded, compressed.data)
    np.testing.assert_allclose(np.concatenate(list(audio.blocks), axis=1), whole.samples, atol=1e-5, rtol=0)
    assert told == sorted(told)
    assert told[-1] == (num_samples / rate, num_samples / rate)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_written_blocks_equal_written_audio(tmp_path, name):
    audio = noise(70_000, 2)
    write_blocks(tmp_path / name, cut(audio.samples, 999), sample_rate=8_000, channels=2, num_samples=70_000)
    np.testing.assert_array_equal(
        read_audio(tmp_path / name).samples, read_audio(io.BytesIO(audio_bytes(audio, name[2:]))).samples
    )


def test_a_wav_beyond_32_bits_is_rf64(tmp_path):
    """The format is chosen by what is announced: nothing of that size is written here."""
    path = tmp_path / "huge.wav"
    write_blocks(path, [np.zeros((1, 10), np.float32)], sample_rate=8_000, channels=1, num_samples=2**31)
    assert soundfile.info(path).format == "RF64"


def test_refusals_leave_no_file(tmp_path, loaded):
    with pytest.raises(AudioError, match="can't write opus at 11025 Hz"):
        write_blocks(tmp_path / "a.opus", [], sample_rate=11_025, channels=1, num_samples=1)
    with pytest.raises(AudioError, match="holds no samples"):
        compress_source(loaded, io.BytesIO(audio_bytes(noise(0), "wav")))
    with pytest.raises(LimitError):
        compress_source(loaded, io.BytesIO(audio_bytes(noise(9000), "wav")), AudioLimits(max_seconds=1.0))
    data = compress(loaded, noise(9000))
    with pytest.raises(LimitError):
        decompress_blocks(loaded, data, AudioLimits(max_seconds=1.0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path, package_directory):
    """Twenty minutes are 77 MB as float32 at 16 kHz, and several times that inside a network that sees them whole."""

    def peak(minutes):
        wav = tmp_path / f"{minutes}.wav"
        with soundfile.SoundFile(wav, "w", 16_000, 1) as file:
            for minute in range(minutes):
                file.write(0.1 * np.random.default_rng(minute).standard_normal(60 * 16_000))
        script = """
            import sys
            from pathlib import Path
            from nacre import cli
            source, container, target, model = sys.argv[1:]
            cli(["encode", source, container, "--model", model], standalone_mode=False)
            cli(["decode", container, target, "--model", model], standalone_mode=False)
            print(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line))
        """
        paths = [wav, tmp_path / "a.nac", tmp_path / "b.wav", package_directory]
        command = [sys.executable, "-c", textwrap.dedent(script), *map(str, paths)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert soundfile.info(tmp_path / "b.wav").frames == minutes * 60 * 16_000
        return int(output.split()[-2]) * 1024

    assert peak(20) - peak(2) < 60 * MEGABYTE
