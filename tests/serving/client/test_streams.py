"""The client's streams."""

import asyncio
import itertools

import numpy as np
import pytest

from codec.compress import decompress
from serving.client import AsyncClient, ClientError


def test_streams_there_and_back(nacre, model, make_audio):
    wav = make_audio(seconds=2.5, sample_rate=16_000, channels=2)
    pcm = wav[44:]
    source = [pcm[:10], b"", pcm[10:50_000], pcm[50_000:]]
    encoding = nacre.stream_encode(source, sample_rate=16_000, channels=2, num_quantizers=3)
    container = b"".join(encoding)
    assert container == nacre.encode(wav, num_quantizers=3).data
    assert (encoding.summary.seconds, encoding.summary.num_bytes) == (2.5, len(container))
    assert encoding.summary.measured_kbps == pytest.approx(len(container) * 8 / 2.5 / 1000)
    decoding = nacre.stream_decode(container, format="f32")
    samples = np.frombuffer(b"".join(decoding), "<f4").reshape(-1, 2).T
    np.testing.assert_allclose(samples, decompress(model, container).samples, atol=1e-5, rtol=0)
    assert (decoding.format.sample_rate, decoding.format.channels, decoding.format.format) == (16_000, 2, "f32")
    assert decoding.summary.num_samples == 40_000


def test_streams_from_files(nacre, make_audio, tmp_path):
    container = nacre.encode(make_audio()).data
    (tmp_path / "a.nac").write_bytes(container)
    assert b"".join(nacre.stream_decode(tmp_path / "a.nac")) == b"".join(nacre.stream_decode(container))


def test_streams_that_are_refused(nacre):
    with pytest.raises(ClientError, match="no samples") as caught:
        list(nacre.stream_encode([]))
    assert (caught.value.status, caught.value.code, len(caught.value.request_id)) == (400, "bad_audio", 32)
    with pytest.raises(ClientError) as caught:
        list(nacre.stream_encode(itertools.repeat(bytes(1000)), model="other"))
    assert (caught.value.status, caught.value.code) == (404, "unknown_model")


def test_sources_that_fail(nacre):
    def source():
        yield bytes(40_000)
        raise RuntimeError("the microphone was unplugged")

    with pytest.raises(RuntimeError, match="unplugged"):
        list(nacre.stream_encode(source()))


def test_streams_that_are_left_early(nacre, make_audio):
    stream = nacre.stream_encode(itertools.repeat(bytes(16_000)), block_ms=100)
    assert next(iter(stream))
    stream.close()
    assert stream.summary is None


def test_streams_of_something_else(stubbed, stub):
    for messages, word in (([b"data"], "broke off"), ([b"data", ["no"]], "no stream gives"), ([{"type": 1}], "broke")):
        stub.plan({"messages": messages})
        with pytest.raises(ClientError, match=word):
            list(stubbed.stream_decode(b"container"))
    stub.plan({"status": 401})
    with pytest.raises(ClientError, match="answered 401") as caught:
        list(stubbed.stream_decode(b"container"))
    assert (caught.value.status, caught.value.code) == (401, "http_error")


def test_streams_that_stall(make, stub_service, stub):
    stub.plan({"messages": [b"data"], "stays": True})
    stream = make(stub_service[1], timeout=0.1).stream_decode(b"container")
    with pytest.raises(ClientError, match=r"gave nothing for 0\.1 s") as caught:
        list(stream)
    assert caught.value.code == "timeout"


def test_asynchronous_sources(service, make_audio):
    wav = make_audio(seconds=1.5)

    async def microphone():
        for start in range(44, len(wav), 999):
            yield wav[start : start + 999]

    async def run():
        async with AsyncClient(service) as nacre, nacre.stream_encode(microphone()) as stream:
            encoded = await nacre.encode(wav)
            assert b"".join([piece async for piece in stream]) == encoded.data

    asyncio.run(run())
