"""Scores through real codecs and processes: kept as they come, trusted by what they depend on."""

import contextlib
import json
import math
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import soundfile
from click.testing import CliRunner

from codec.errors import RunError
from codec.weights import write_package
from nacre import cli
from tiny import tiny_codec
from training.evaluation.clips import find_clips
from training.evaluation.codecs.catalogue import peer_point
from training.evaluation.models import model_points
from training.evaluation.run import SCORES, evaluate

RATE = 16_000


@pytest.fixture
def clips(tmp_path):
    """Two clips of a hum with pauses, as speech."""
    folder = tmp_path / "clips"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("speech_en_a", "speech_en_b"):
        seconds = np.arange(RATE) / RATE
        voice = np.sin(2 * np.pi * rng.uniform(100, 200) * seconds) * (np.sin(2 * np.pi * 3 * seconds) > -0.5)
        soundfile.write(folder / f"{name}.wav", 0.2 * voice + 0.01 * rng.normal(size=RATE), RATE)
    return folder


def tiny_package(folder, seed=0):
    write_package(folder, tiny_codec(seed), metrics={}, lineage={})
    return folder


@pytest.fixture
def package(tmp_path):
    return tiny_package(tmp_path / "package")


def tasks(clips, *points):
    return [(file, point) for point in points for file in find_clips(clips)]


def lines(out):
    return [json.loads(line) for line in (out / SCORES).read_text().splitlines()]


def test_scores_have_bytes_times_and_metrics(clips, tmp_path):
    results = evaluate(tasks(clips, peer_point("pcm")), tmp_path / "out", processes=1)
    assert [score.clip.name for score in results.scores] == ["speech_en_a.wav", "speech_en_b.wav"]
    score = results.scores[0]
    assert (score.point, score.clip.kind, score.clip.language) == ("pcm", "speech", "en")
    assert score.measured_kbps == pytest.approx(256, abs=1)
    assert score.encode_realtime > 0
    assert score.metrics["mel_distance"] < 0.05
    assert score.metrics["bandwidth_khz"] > 7


def test_going_on_does_only_what_is_missing(clips, tmp_path):
    out = tmp_path / "out"
    evaluate(tasks(clips, peer_point("pcm"))[:1], out, processes=1)
    first = (out / SCORES).read_bytes()
    with (out / SCORES).open("ab") as file:
        file.write(b'{"key": "torn')
    results = evaluate(tasks(clips, peer_point("pcm")), out, processes=1)
    assert len(results.scores) == 2
    assert (out / SCORES).read_bytes().startswith(first)
    assert len(lines(out)) == 2


def test_a_changed_clip_or_package_is_scored_anew(clips, tmp_path, package):
    out = tmp_path / "out"
    point = model_points(str(package))[:1]
    before = evaluate(tasks(clips, *point), out, processes=1)
    path = clips / "speech_en_a.wav"
    audio, _ = soundfile.read(path)
    soundfile.write(path, audio[::-1], RATE)
    after = evaluate(tasks(clips, *point), out, processes=1)
    assert len(lines(out)) == 3
    assert after.scores[1] == before.scores[1]
    other = model_points(str(tiny_package(tmp_path / "other", seed=1)))[:1]
    evaluate(tasks(clips, *other), out, processes=1)
    assert len(lines(out)) == 5


def test_undefined_scores_come_back_as_nan_with_the_reason(clips, tmp_path):
    soundfile.write(clips / "speech_en_c.wav", np.zeros(RATE), RATE)
    out = tmp_path / "out"
    for _ in range(2):
        results = evaluate(tasks(clips, peer_point("pcm")), out, processes=1)
        silent = results.scores[2]
        assert math.isnan(silent.metrics["si_sdr_db"])
        assert silent.undefined["si_sdr_db"] == "the original is silent"
    assert "NaN" not in (out / SCORES).read_text()


def test_a_missing_tool_is_a_note_and_tried_again(clips, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    results = evaluate(tasks(clips, peer_point("opus:12"), peer_point("pcm")), tmp_path / "out", processes=1)
    assert {score.codec for score in results.scores} == {"pcm"}
    assert results.by_task[:2] == (None, None)
    (note,) = [note for note in results.notes if note.startswith("opus 12")]
    assert "opus-tools" in note


def test_two_evaluations_in_one_folder_are_refused(clips, tmp_path):
    import fcntl

    out = tmp_path / "out"
    out.mkdir()
    with (out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another evaluation runs"):
            evaluate(tasks(clips, peer_point("pcm")), out)


def test_processes_are_started_for_much_audio_or_when_asked_for(clips, tmp_path, monkeypatch):
    def start(count, **_):
        raise RuntimeError(f"{count} started")

    monkeypatch.setattr("training.evaluation.run.ProcessPoolExecutor", start)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    todo = tasks(clips, peer_point("pcm"))
    with pytest.raises(RuntimeError, match="2 started"):
        evaluate(todo, tmp_path / "asked", processes=2)
    assert len(evaluate(todo, tmp_path / "short").scores) == 2
    soundfile.write(clips / "speech_en_a.wav", np.zeros(100 * RATE), RATE)
    with pytest.raises(RuntimeError, match="3 started"):
        evaluate(tasks(clips, peer_point("pcm"), peer_point("flac")), tmp_path / "long")


def still_running(processes):
    running = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                running.append(process)
    return running


@pytest.mark.slow
def test_killed_it_leaves_no_process_and_goes_on_with_the_rest(clips, tmp_path, package):
    out = tmp_path / "out"
    audio = (clips / "speech_en_a.wav").read_bytes()
    for number in range(40):
        (clips / f"sound_{number}.wav").write_bytes(audio + bytes([number]))
    for path in clips.glob("speech_*"):
        path.unlink()
    words = ["evaluate", package, "--compare", "--data", clips, "--out", out, "--bitrate-kbps", "2"]
    command = [sys.executable, "-m", "nacre", *map(str, words), "--processes", "2"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not (out / SCORES).is_file() or not lines(out):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        started = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    try:
        assert len(started) >= 2
        deadline = time.monotonic() + 3
        while still_running(started):
            assert time.monotonic() < deadline, started
            time.sleep(0.05)
    finally:
        for orphan in still_running(started):
            orphan.kill()
    kept = (out / SCORES).read_bytes()
    assert kept.count(b"\n") < 40
    result = CliRunner().invoke(cli, [*map(str, words), "--processes", "1"])
    assert result.exit_code == 0, result.output
    assert "scores of 40 clips" in result.output
    assert (out / SCORES).read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    assert len({line["key"] for line in lines(out)}) == len(lines(out))
    for name in ("report.html", "scores.csv", "summary.json", "card-package.md"):
        assert (out / name).is_file()
