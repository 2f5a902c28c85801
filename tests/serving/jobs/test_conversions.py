"""A job gives the bytes of the direct conversion, whatever form it came and goes in."""

import io
import zipfile

import numpy as np
import pytest
import soundfile

from codec.audio import AudioLimits, audio_bytes, read_audio
from codec.compress import compress, decompress
from codec.excerpt import decompress_excerpt


@pytest.fixture
def service(make_service, converter):
    return make_service(converter)


@pytest.mark.parametrize("format", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("choice", [{}, {"num_quantizers": 2}, {"bitrate_kbps": 1.0, "model": "other"}])
def test_encode_gives_the_direct_conversions_bytes(service, model, other_model, make_audio, format, choice):
    data = make_audio(format=format)
    job = service.run(data, **choice)
    assert (job["state"], job["progress"], job["files"]) == ("done", 1.0, {"total": 1, "done": 1, "failed": 0})
    answer = service.result(job)
    used = other_model if choice.get("model") == "other" else model
    arguments = {name: value for name, value in choice.items() if name != "model"}
    assert answer.content == compress(used, read_audio(io.BytesIO(data)), **arguments)
    assert answer.headers["Content-Type"] == "application/vnd.nacre"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="audio.nac"'


@pytest.mark.parametrize("format", ["wav", "flac"])
@pytest.mark.parametrize("bit_depth", ["16", "24"])
def test_decode_gives_the_direct_conversions_bytes(service, other_model, make_audio, format, bit_depth):
    container = compress(other_model, read_audio(io.BytesIO(make_audio(sample_rate=44_100, channels=2))))
    job = service.run(container, operation="decode", format=format, bit_depth=bit_depth)
    answer = service.result(job)
    assert answer.content == audio_bytes(decompress(other_model, container), format, f"PCM_{bit_depth}")
    assert answer.headers["Content-Type"] == f"audio/{format}"


def test_decode_to_float_and_a_stretch(service, model, make_audio):
    container = compress(model, read_audio(io.BytesIO(make_audio(seconds=2.0))))
    whole = service.run(container, operation="decode", bit_depth="float")
    samples, _ = soundfile.read(io.BytesIO(service.result(whole).content), dtype="float32")
    np.testing.assert_array_equal(samples, decompress(model, container).samples[0])
    part = service.run(container, operation="decode", start=0.5, duration=0.25)
    direct = decompress_excerpt(model, io.BytesIO(container), start_s=0.5, duration_s=0.25)
    assert service.result(part).content == audio_bytes(direct, "wav", "PCM_16")
    late = service.run(container, operation="decode", start=9)
    assert (late["state"], late["error"]["code"]) == ("failed", "bad_audio")


def test_a_form_names_its_file(service, model, make_audio):
    data = make_audio(seconds=8)  # more than one piece on its way to disk
    job = service.submit(files={"file": ("C:\\takes\\häfen 1.wav", data)}, data={"num_quantizers": "1"}, key="k")
    service.runner.run_one()
    answer = service.result(job)
    assert answer.content == compress(model, read_audio(io.BytesIO(data)), num_quantizers=1)
    assert answer.headers["Content-Disposition"].endswith("h%C3%A4fen%201.wav.nac")
    assert service.submit(data, num_quantizers=1, key="k", expect=200)["id"] == job["id"]


def test_an_archive_there_and_back(service, model, make_audio, make_zip, make_tar):
    sounds = {f"takes/{name}.wav": make_audio(seed=seed) for seed, name in enumerate("abc")}
    encoded = service.run(make_zip(sounds))
    assert encoded["files"] == {"total": 3, "done": 3, "failed": 0}
    containers = service.outputs(encoded)
    direct = {name: compress(model, read_audio(io.BytesIO(data))) for name, data in sounds.items()}
    assert containers == {f"{name}.nac": data for name, data in direct.items()}
    decoded = service.run(make_tar(containers, "w:gz"), operation="decode")
    audio = {name: audio_bytes(decompress(model, data), "wav") for name, data in direct.items()}
    assert service.outputs(decoded) == audio
    flac = service.outputs(
        service.run(make_tar({"x.mp3.nac": direct["takes/a.wav"]}), operation="decode", format="flac")
    )
    assert list(flac) == ["x.mp3.flac"]
    with zipfile.ZipFile(io.BytesIO(service.result(encoded).content)) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_only_what_can_be_converted_is_in_the_result(service, make_audio, make_zip, other_model):
    sounds = {"a.wav": make_audio(), "b.wav": b"no audio", "c.wav": make_audio(channels=9), "d.wav": b""}
    job = service.run(make_zip(sounds))
    assert (job["state"], job["files"]) == ("done", {"total": 4, "done": 1, "failed": 3})
    assert [(failure["file"], failure["code"]) for failure in job["failures"]] == [
        ("b.wav", "bad_audio"),
        ("c.wav", "too_large"),
        ("d.wav", "bad_audio"),
    ]
    assert list(service.outputs(job)) == ["a.wav.nac"]


@pytest.mark.parametrize(("operation", "code"), [("encode", "bad_audio"), ("decode", "bad_bitstream")])
def test_nothing_that_can_be_converted(service, operation, code, make_zip):
    job = service.run(b"neither audio nor container", operation=operation)
    assert (job["state"], job["error"]["code"], job["files"]["failed"]) == ("failed", code, 1)
    assert service.get(job, path="/result").json()["error"]["code"] == "not_done"
    many = service.run(make_zip({"a": b"x", "b": b"y"}), operation=operation)
    assert (many["state"], many["error"]["code"]) == ("failed", "nothing_converted")


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"bitrate_kbps": "7"}, 400, "bad_bitrate"),
        ({"denoise": "true"}, 400, "not_capable"),
        ({"model": "nobody"}, 404, "unknown_model"),
    ],
)
def test_what_no_file_can_be_converted_with_is_refused_at_once(service, parameters, status, code, make_audio):
    assert service.submit(b"x", expect=status, **parameters)["error"]["code"] == code
    answer = service.submit(files={"file": b"x"}, data=parameters, expect=status)
    assert answer["error"]["code"] == code


def test_what_is_held_whole_is_bounded(service, monkeypatch, make_audio):
    monkeypatch.setattr(service.runner._converter, "_whole_limits", AudioLimits(max_seconds=1.0))
    data = make_audio(seconds=1.5)
    container = service.result(service.run(data)).content
    assert service.run(container, operation="decode")["state"] == "done"
    assert service.run(container, operation="decode", start=0.75)["state"] == "done"
    assert service.run(container, operation="decode", start=0.25)["error"]["code"] == "too_large"
    monkeypatch.setattr("codec.chunked.can_chunk", lambda config: False)
    assert service.run(data)["error"]["code"] == "too_large"
    assert service.run(container, operation="decode")["error"]["code"] == "too_large"
