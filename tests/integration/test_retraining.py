"""From an inbox to what clients are served: the daemon retrains, the service follows, and poison changes nothing."""

import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import soundfile
import yaml

from registry.registry import Registry
from running_service import kill_family, starting
from tiny import TRAINED_NETWORK, untrained_package
from training.retraining.decision import Decision
from training.retraining.retraining import model_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CLIPS = sorted((Path(__file__).parents[1] / "data").glob("speech_*.flac"))
RATE = 16_000
TRAINING = {
    "model": {
        "codec": {
            "name": "tiny",
            "hop_length": 160,
            "latent_dim": 8,
            "quantizer": {"num_quantizers": 3, "codebook_size": 8, "ema_decay": 0.9},
            "network": TRAINED_NETWORK,
        },
        "loss": {"mel_windows": [128, 512], "mel_bands": [10, 40], "stft_windows": [256]},
        "discriminator": {"start_step": None},
        "optimizer": {"warmup_steps": 2, "learning_rate": 2e-3},
        "quantizer": {"start_step": 0},
    },
    "data": {"segment_samples": 3200, "batch_size": 8, "num_workers": 0},
    "trainer": {"accelerator": "cpu", "devices": 1, "max_steps": 80},
    "run": {"checkpoint_every_n_steps": 20, "wandb_mode": "disabled"},
}
POLICY = {
    "metrics": {
        "mel_distance": {"better": "lower", "relative_margin": 0.01},
        "stoi": {"better": "higher", "absolute_margin": 0.2},
    },
    "min_clips": 4,
    "max_undefined_share": 0.5,
    "min_encode_speed_share": None,
    "min_decode_speed_share": None,
}


@pytest.fixture
def registry(tmp_path):
    """A registry with a voice that never learned anything in production."""
    untrained_package(tmp_path / "first", TRAINING["model"]["codec"])
    registry = Registry.open()
    registry.register(tmp_path / "first", "voice")
    registry.promote("voice:1", "production")
    return registry


@pytest.fixture
def settings(tmp_path):
    """Settings of a daemon whose inbox is empty."""
    for name, chosen in (("clips", CLIPS[::3]), ("inbox", ())):
        (tmp_path / name).mkdir()
        for clip in chosen:
            write_start(clip, tmp_path / name / clip.name)
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(TRAINING))
    (tmp_path / "gate.yaml").write_text(yaml.safe_dump(POLICY))
    names = {"model": "voice", "inbox": "inbox", "validation": "clips", "config": "train.yaml", "policy": "gate.yaml"}
    trigger = {"hours": 0.001, "settle_minutes": 0.02, "look_every_seconds": 1}
    # New audio as it comes, and nothing else.
    write_settings(tmp_path, names | {"trigger": trigger, "earlier_weight": 0.0})
    return tmp_path / "retrain.yaml"


def write_settings(folder, values):
    (folder / "retrain.yaml").write_text(yaml.safe_dump(values))


def write_start(clip, path):
    samples, rate = soundfile.read(clip)
    soundfile.write(path, samples[: 3 * rate], rate)


def put(settings, name, samples):
    soundfile.write(settings.parent / "inbox" / name, samples, RATE)


@contextmanager
def daemon(settings):
    log = settings.parent / "daemon.log"
    command = [sys.executable, "-m", "nacre", "retrain", "daemon", str(settings)]
    with log.open("a") as output:
        process = psutil.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            kill_family(process)


@contextmanager
def traffic(client, data):
    """Encode without a pause meanwhile, and yield the counts of (status, fingerprint)."""
    answers, stopped = Counter(), threading.Event()

    def run():
        with httpx.Client(base_url=client.base_url, timeout=60) as own:
            while not stopped.is_set():
                answer = own.post("/v1/encode", content=data)
                answers[answer.status_code, answer.headers.get("X-Nacre-Fingerprint")] += 1
                time.sleep(0.1)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield answers
    finally:
        stopped.set()
        thread.join()


def wait_for(condition, settings, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, (settings.parent / "daemon.log").read_text()[-4000:]
        time.sleep(0.2)


def decisions():
    paths = model_folder("voice").glob("*/decision.json")
    return [Decision.read(path) for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns)]


def test_new_speech_is_promoted_poison_is_not_and_the_service_follows(registry, settings, tmp_path):
    data = (settings.parent / "clips" / CLIPS[0].name).read_bytes()

    def served(client):
        return client.post("/v1/encode", content=data).headers["X-Nacre-Fingerprint"]

    with starting(tmp_path / "service.log") as start:
        client, _ = start("nacre", "serve", "--model", "voice@production")
        first = registry.show("voice:1").fingerprint
        with daemon(settings), traffic(client, data) as answers:
            for clip in CLIPS[1::3] + CLIPS[2::3]:
                write_start(clip, settings.parent / "inbox" / clip.name)
            wait_for(lambda: len(decisions()) == 1, settings, 240)
            (good,) = decisions()
            assert good.promoted, good.reasons
            second = registry.show("voice:2").fingerprint
            wait_for(lambda: served(client).startswith(second[:16]), settings, 10)

            noise = np.random.default_rng(0)
            for index in range(6):
                put(settings, f"speech_noise_{index}.wav", 0.2 * noise.standard_normal(3 * RATE))
            put(settings, "speech_clipped.wav", np.clip(9 * noise.standard_normal(3 * RATE), -1, 1))
            (settings.parent / "inbox" / "speech_corrupt.flac").write_bytes(b"fLaC" + bytes(1000))
            wait_for(lambda: len(decisions()) == 2, settings, 240)
            refused = decisions()[1]
            assert refused.outcome == "refused"
            assert any("spectra" in reason for reason in refused.reasons)

            # Told to train on it all the same, the gate has the word.
            values = yaml.safe_load(settings.read_text())
            write_settings(settings.parent, values | {"allow_drift": True})
            for index in range(6):
                put(settings, f"speech_more_{index}.wav", 0.2 * noise.standard_normal(3 * RATE))
            wait_for(lambda: len(decisions()) == 3, settings, 240)
            rejected = decisions()[2]
            assert (rejected.outcome, rejected.candidate) == ("rejected", 3)
            assert any("mel_distance" in reason for reason in rejected.reasons)
            assert registry.show("voice@production").version == 2
            reports = registry.reports(registry.show("voice:3"))
            assert "rejected" in (reports[0].directory / "decision.html").read_text()

            registry.rollback("voice", "production", "the test says so")
            wait_for(lambda: served(client).startswith(first[:16]), settings, 10)
        assert {status for status, _ in answers} == {200}
        assert len({fingerprint for _, fingerprint in answers}) == 2
