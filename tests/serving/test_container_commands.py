"""`nacre inspect`, `verify`, pipes, and decoding parts of a container or of a damaged one."""

import dataclasses
import io

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from codec.container import Header, write_container
from codec.errors import AudioError, BitstreamError
from codec.metadata import Metadata
from nacre import cli

HEADER = Header(
    codec_name="tiny",
    fingerprint=bytes(8),
    sample_rate=8_000,
    num_samples=5,
    source_sample_rate=8_000,
    source_num_samples=5,
    channels=1,
    num_streams=1,
    num_quantizers=1,
    codebook_size=16,
    hop_length=32,
    frames_per_block=250,
)
DAMAGE = "the metadata fail their checksum: the container is damaged, its audio perhaps not"


@pytest.fixture
def run(package):
    def run(*words, input=None, model=True):
        words = [*map(str, words), *(["--model", str(package)] if model else [])]
        return CliRunner().invoke(cli, words, input=input)

    return run


@pytest.fixture
def container(run, make_audio, tmp_path):
    """Five seconds at 11 025 Hz, which the codec codes at 8 000."""
    (tmp_path / "a.wav").write_bytes(make_audio(seconds=5, sample_rate=11_025))
    assert run("encode", tmp_path / "a.wav", tmp_path / "a.nac").exit_code == 0
    return tmp_path / "a.nac"


def damage(container, start=600):
    data = bytearray(container.read_bytes())
    data[start] ^= 1
    container.write_bytes(data)


def test_inspect_shows_what_a_container_holds(run, container):
    result = run("inspect", container, model=False)
    assert result.exit_code == 0
    for fact in (
        "tiny, fingerprint",
        "5.00 s",
        "11025 Hz, 1 channel",
        "4 quantizers of 16",
        "coding       packed",
        "4.00 kbps nominal",
    ):
        assert fact in result.output
    assert "5 whole" in result.output
    assert "damage" not in result.output


def test_inspect_shows_the_metadata_and_no_more_than_a_terminal_should(run, tmp_path):
    text = Metadata(
        tags={"artist": ("Anna", "Bob"), "title": ("a\x1b[31m\nb",)},
        source_name="tapes/a.wav",
        mtime_ns=1_700_000_000_000_000_001,
        format="wav",
        subtype="pcm_24",
        sample_rate=8_000,
        channel_layout="FL+FR+FC",
    )
    header = dataclasses.replace(HEADER, metadata_bytes=len(text.to_json()))
    (tmp_path / "a.nac").write_bytes(write_container(header, np.zeros((1, 1, 1), np.int64), metadata=text))
    assert run("inspect", tmp_path / "a.nac", model=False).output.splitlines()[8:] == [
        "source       tapes/a.wav",
        "format       wav pcm_24",
        "rate         8000 Hz",
        "layout       FL+FR+FC",
        "modified     2023-11-14T22:13:20.000000001 UTC",
        "tag          artist: Anna",
        "tag          artist: Bob",
        "tag          title: a\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}b",
    ]
    data = bytearray((tmp_path / "a.nac").read_bytes())
    data[data.index(b"Anna")] ^= 1
    (tmp_path / "a.nac").write_bytes(data)
    assert run("inspect", tmp_path / "a.nac", model=False).output.splitlines()[8:] == [f"damage       {DAMAGE}"]
    result = run("verify", tmp_path / "a.nac", model=False)
    assert (result.exit_code, result.output) == (1, f"{tmp_path / 'a.nac'}: {DAMAGE}\n")


def test_verify_names_each_bad_block_and_its_time(run, container, tmp_path):
    assert run("verify", container, model=False).output == f"{container}: whole, 5 blocks, 5.00 s\n"
    damage(container)
    (tmp_path / "b.nac").write_bytes(b"")
    result = run("verify", container, tmp_path / "b.nac", tmp_path / "none.nac", model=False)
    assert result.exit_code == 1
    assert f"{container}: block 1 (1.00 to 2.00 s) damaged\n" in result.output
    assert "b.nac: not a Nacre container" in result.output
    assert "none.nac: there is no file" in result.output
    assert "block 1 (1.00 to 2.00 s) damaged" in run("inspect", container, model=False).output


@pytest.mark.parametrize(("start", "duration"), [(0, 1), (0.3, 0.01), (3.3, 1), (4.5, 2), (2, None)])
def test_an_excerpt_is_that_of_the_whole(run, container, tmp_path, start, duration):
    run("decode", container, tmp_path / "whole.wav")
    options = ["--start", start] + (["--duration", duration] if duration else [])
    assert run("decode", container, tmp_path / "part.wav", *options).exit_code == 0
    whole, rate = soundfile.read(tmp_path / "whole.wav")
    part, part_rate = soundfile.read(tmp_path / "part.wav")
    first = round(start * rate)
    wanted = whole[first : first + round(duration * rate)] if duration else whole[first:]
    assert part_rate == rate
    np.testing.assert_allclose(part, wanted, atol=2 / 32768)
    assert len(part) == len(wanted)


def test_there_is_nothing_after_the_end(run, container, tmp_path):
    result = run("decode", container, tmp_path / "b.wav", "--start", 5)
    assert isinstance(result.exception, AudioError)
    assert "5.00 s long" in str(result.exception)
    assert run("decode", container, tmp_path / "b.wav", "--start", 1, "--conceal").exit_code == 2


def test_conceal_recovers_what_is_undamaged(run, container, tmp_path):
    run("decode", container, tmp_path / "whole.wav")
    damage(container)
    assert isinstance(run("decode", container, tmp_path / "b.wav").exception, BitstreamError)
    result = run("decode", container, tmp_path / "b.wav", "--conceal")
    assert result.exit_code == 0
    assert "block 1 (1.00 to 2.00 s) damaged" in result.stderr
    whole, part = soundfile.read(tmp_path / "whole.wav")[0], soundfile.read(tmp_path / "b.wav")[0]
    assert len(whole) == len(part)
    np.testing.assert_allclose(part[: int(0.8 * 11_025)], whole[: int(0.8 * 11_025)], atol=2 / 32768)
    np.testing.assert_allclose(part[int(2.2 * 11_025) :], whole[int(2.2 * 11_025) :], atol=2 / 32768)
    assert not part[int(1.2 * 11_025) : int(1.8 * 11_025)].any()


def test_pipes_carry_the_same_bytes_as_files(run, container, tmp_path):
    piped = run("encode", "-", "-", input=(tmp_path / "a.wav").read_bytes())
    assert piped.exit_code == 0, piped.exception
    assert piped.stdout_bytes == container.read_bytes()
    assert "-: 5.00 s" in piped.stderr
    run("decode", container, tmp_path / "b.wav")
    decoded = run("decode", "-", "-", input=piped.stdout_bytes)
    assert decoded.stdout_bytes == (tmp_path / "b.wav").read_bytes()
    part = run("decode", "-", "-", "--start", 1, "--duration", 1, input=piped.stdout_bytes)
    assert soundfile.info(io.BytesIO(part.stdout_bytes)).frames == 11_025
