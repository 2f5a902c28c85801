"""What the Python client asks and gives, blocking and asynchronous alike."""

import inspect
import io
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from client_stub import JOB, refusal
from codec.compress import decompress
from codec.compress_blocks import compress_source
from serving.client import AsyncClient, Client, ClientError, Codes, Model
from serving.client.sound import wav_bytes


def in_wav(data):
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0].T


def test_encode_takes_bytes_paths_and_arrays(nacre, model, make_audio, tmp_path):
    wav = make_audio(seconds=1.1, channels=2, sample_rate=11_025)
    path = tmp_path / "a.wav"
    path.write_bytes(wav)
    encoded = nacre.encode(wav, num_quantizers=2)
    assert encoded.data == compress_source(model, io.BytesIO(wav), num_quantizers=2).data
    assert encoded.fingerprint == model.package.fingerprint
    assert (encoded.model, round(encoded.seconds, 6)) == ("tiny", round(12_128 / 11_025, 6))
    assert encoded.measured_kbps == pytest.approx(len(encoded.data) * 8 / encoded.seconds / 1000, abs=1e-3)
    assert nacre.encode(path, num_quantizers=2) == nacre.encode(str(path), num_quantizers=2) == encoded
    samples = in_wav(wav)
    assert nacre.encode(samples, sample_rate=11_025, num_quantizers=2) == encoded
    assert nacre.encode((samples * 32768).astype(np.int16), sample_rate=11_025, num_quantizers=2) == encoded


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(100,), (1, 100), (3, 100)])
def test_arrays_as_wav_files(dtype, shape):
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, shape)
    samples = (samples * 32767).astype(dtype) if dtype == "int16" else samples.astype(dtype)
    data = wav_bytes(samples, 44_100)
    info = soundfile.info(io.BytesIO(data))
    assert (info.samplerate, info.subtype) == (44_100, "PCM_16" if dtype == "int16" else "FLOAT")
    read, _ = soundfile.read(io.BytesIO(data), dtype="int16" if dtype == "int16" else "float32", always_2d=True)
    np.testing.assert_array_equal(read.T, np.atleast_2d(samples).astype(read.dtype))


@pytest.mark.parametrize(
    ("sound", "rate", "message"),
    [
        (np.zeros(9), None, "needs its sample_rate"),
        (b"RIFF", 8_000, "a file knows its own"),
        (np.zeros((1, 2, 9)), 8_000, "give .T. or"),
        (np.zeros((80_000, 2)), 8_000, "give .T. or"),
        (np.zeros(9, np.int32), 8_000, "int32"),
    ],
)
def test_sounds_that_are_none(nacre, sound, rate, message):
    with pytest.raises(ValueError, match=message):
        nacre.encode(sound, sample_rate=rate)


def test_decode(nacre, model, make_audio):
    container = nacre.encode(make_audio(seconds=1.0)).data
    whole = decompress(model, container).samples
    decoded = nacre.decode(container, bit_depth="float")
    np.testing.assert_allclose(in_wav(decoded.data), whole, atol=1e-5, rtol=0)
    assert (decoded.format, decoded.model, decoded.fingerprint) == ("wav", "tiny", model.package.fingerprint)
    stretch = nacre.decode(container, format="flac", bit_depth=24, start=0.25, duration=0.5)
    assert stretch.format == "flac"
    np.testing.assert_allclose(in_wav(stretch.data), whole[:, 2_000:6_000], atol=1e-5, rtol=0)


def test_round_trip(nacre, make_audio):
    wav = make_audio(seconds=0.7)
    there = nacre.encode(wav, num_quantizers=1)
    back = nacre.round_trip(wav, num_quantizers=1, format="flac")
    assert back.data == nacre.decode(there.data, format="flac").data
    assert (back.container_bytes, back.format) == (len(there.data), "flac")
    assert (back.measured_kbps, back.seconds, back.model) == (there.measured_kbps, there.seconds, there.model)


def test_codes(nacre, model, make_audio):
    wav = make_audio(seconds=0.5, channels=2, sample_rate=16_000)
    codes = nacre.codes(wav, num_quantizers=3)
    assert isinstance(codes, Codes)
    assert (codes.channels, codes.source_sample_rate, codes.num_samples) == (2, 16_000, 4_000)
    assert (codes.offsets, codes.codebook_size, codes.fingerprint) == ((0, 16, 32), 16, model.package.fingerprint)
    assert [(stream.codes.shape, stream.codes.dtype, stream.scales) for stream in codes.streams] == [
        ((3, 125), np.int64, ())
    ] * 2


def test_facts(nacre, model):
    (first,) = nacre.models()
    assert isinstance(first, Model)
    assert (first.name, first.fingerprint, first.sample_rate) == ("tiny", model.package.fingerprint, 8_000)
    assert first.bitrates_kbps == tuple(model.package.config.bitrates_kbps)
    assert nacre.model("tiny") == first
    assert nacre.limits()["max_seconds"] == 300


def test_refusals(nacre, make_audio):
    with pytest.raises(ClientError) as caught:
        nacre.encode(make_audio(), bitrate_kbps=99)
    error = caught.value
    assert (error.status, error.code, error.retry_after) == (400, "bad_bitrate", None)
    assert error.message == str(error)
    assert "no bitrate of 99" in error.message
    assert len(error.request_id) == 32
    with pytest.raises(ClientError) as caught:
        nacre.model("other")
    assert (caught.value.status, caught.value.code) == (404, "unknown_model")


def test_jobs_on_the_real_service(nacre, make_audio, tmp_path):
    (tmp_path / "a.wav").write_bytes(make_audio())
    job = nacre.submit("encode", tmp_path / "a.wav", num_quantizers=2, idempotency_key="once")
    assert (job.state, job.operation, job.is_finished) == ("queued", "encode", False)
    assert nacre.submit("encode", make_audio(), name="a.wav", num_quantizers=2, idempotency_key="once").id == job.id
    assert nacre.job(job.id) == job
    assert job in nacre.jobs()
    with pytest.raises(ClientError) as caught:
        nacre.result(job.id)
    assert caught.value.status == 409
    nacre.cancel(job.id)
    assert nacre.job(job.id).state == "cancelled"
    with pytest.raises(ClientError) as caught:
        nacre.job("other")
    assert caught.value.status == 404


def test_what_a_job_is_asked_with(stubbed, stub, tmp_path):
    (tmp_path / "music.zip").write_bytes(b"PK12")
    stub.plan(refusal(503, Retry_After="0"), {"status": 202, "json": JOB})
    job = stubbed.submit("decode", tmp_path / "music.zip", format="flac", start=0)
    assert (job.id, job.progress, job.created.isoformat()) == ("j1", 0.5, "2026-11-27T12:00:00+00:00")
    assert (job.files.failed, job.failures[0].code, job.error) == (1, "bad_audio", None)
    (method, path, query, headers, body), again = stub.heard
    assert (method, path, query) == ("POST", "/v1/jobs", {"operation": "decode", "format": "flac", "start": "0"})
    assert b'filename="music.zip"' in body
    assert b"PK12" in body
    assert len(headers["Idempotency-Key"]) >= 32
    assert again[3]["Idempotency-Key"] == headers["Idempotency-Key"]
    stubbed.submit("encode", b"RIFF")
    assert stub.heard[-1][3]["Idempotency-Key"] != headers["Idempotency-Key"]
    assert b'filename="audio"' in stub.heard[-1][4]


def test_waiting_for_a_job(stubbed, stub):
    done = {**JOB, "state": "done", "progress": 1.0, "finished": "2026-11-27T12:00:09Z"}
    stub.plan({"json": {**JOB, "progress": 0.1}}, {"json": JOB}, {"json": done})
    seen = []
    job = stubbed.wait("j1", on_progress=lambda job: seen.append(job.progress))
    assert (job.state, job.finished.second, seen) == ("done", 9, [0.1, 0.5, 1.0])
    failed = {**JOB, "state": "failed", "error": {"code": "no_room", "message": "the disk is full"}}
    stub.plan({"json": failed})
    assert stubbed.wait("j1").error.message == "the disk is full"
    stub.plan({"json": JOB})
    with pytest.raises(ClientError, match="did not end within") as caught:
        stubbed.wait("j1", timeout=0.3)
    assert (caught.value.code, caught.value.status) == ("timeout", None)


def test_results_of_jobs(stubbed, stub, tmp_path):
    stub.plan({"data": b"zip" * 100_000})
    assert stubbed.result("j 1") == b"zip" * 100_000
    assert stub.heard[-1][1] == "/v1/jobs/j 1/result"
    stub.plan(refusal(503), {"data": b"zip" * 100_000})
    stubbed.save_result("j1", tmp_path / "result.zip")
    assert (tmp_path / "result.zip").read_bytes() == b"zip" * 100_000
    stub.plan(refusal(409, "not_finished"))
    with pytest.raises(ClientError, match="not now"):
        stubbed.save_result("j1", tmp_path / "other.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["result.zip"]


def test_the_client_needs_no_codec():
    script = "import sys, serving.client; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    heavy = {"torch", "numpy", "soundfile", "soxr", "fastapi", "starlette", "uvicorn", "websockets", "pydantic"}
    assert not heavy & set(done.stdout.split())


def test_both_clients_have_the_same_methods():
    def methods(cls):
        found = {name: member for name, member in vars(cls).items() if inspect.isfunction(member) and name[0] != "_"}
        return {name.removeprefix("a"): list(inspect.signature(found[name]).parameters) for name in found}

    assert methods(Client) == methods(AsyncClient)
