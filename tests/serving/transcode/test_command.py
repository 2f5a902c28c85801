"""`nacre transcode` as it is typed: options, counts, status, stops, a full disk."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from nacre import cli
from serving.transcode.status import STATUS
from transcoding import records, tree

LONG_SECONDS = 7200


def words(package, *given):
    return ["transcode", *map(str, given), "--model", str(package)]


@pytest.fixture
def nacre(package):
    """Call the command in this process, its workers in others."""

    def nacre(*given):
        return CliRunner().invoke(cli, words(package, *given))

    return nacre


@pytest.fixture
def start(package):
    """Start the command as a process, in a group of its own."""
    started = []

    def start(*given, before=()):
        command = [*before, sys.executable, "-m", "nacre", *words(package, *given)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, text=True, start_new_session=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def clips(tmp_path, make_audio):
    root = tmp_path / "clips"
    root.mkdir()
    for index in range(40):
        (root / f"{index:02d}.wav").write_bytes(make_audio(seconds=3, seed=index))
    return root


def wait_for(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_reports_and_exits_with_1_if_any_failed(nacre, archive, tmp_path):
    status = tmp_path / "status.json"
    result = nacre(archive, tmp_path / "out", "--bitrate-kbps", 2, "--workers", 1, "--status", status)
    assert result.exit_code == 1
    assert "5 done, 0 unchanged, 1 failed, 1 other files left" in result.stdout
    assert "failed: deep/fake.wav" in result.stderr
    assert "Traceback" not in result.output
    found = json.loads(status.read_text())
    assert (found["stage"], found["files"], found["done"], found["failed"]) == ("done", 6, 5, 1)
    assert found["audio_seconds"] > 1
    assert not (tmp_path / "out" / ".nacre").exists()


def test_a_long_file_is_seen_to_advance(start, tmp_path):
    source, status = tmp_path / "long", tmp_path / "status.json"
    source.mkdir()
    with soundfile.SoundFile(source / "a.flac", "w", 8000, 1) as file:
        for _ in range(LONG_SECONDS // 60):
            file.write(np.zeros(60 * 8000, np.int16))
    process = start(source, tmp_path / "out", "--workers", 1, "--status", status)
    told = []

    def advances():
        found = json.loads(status.read_text()) if status.exists() else {}
        if found.get("done") == 0 and found["audio_seconds"] and found["eta_seconds"]:
            told.append((found["audio_seconds"], found["real_time_factor"]))
        return len(set(told)) >= 2

    wait_for(advances, process)
    assert told == sorted(told, key=lambda facts: facts[0])
    assert all(0 < seconds < LONG_SECONDS and factor > 0 for seconds, factor in told)
    assert process.wait(60) == 0
    assert json.loads(status.read_text())["audio_seconds"] == LONG_SECONDS


def test_a_bag_names_the_manifest_in_its_payload(nacre, clips, tmp_path):
    target = tmp_path / "out"
    for path in sorted(clips.iterdir())[2:]:
        path.unlink()
    for options in (["--bag"], []):
        result = nacre(clips, target, "--workers", 1, *options)
        assert result.exit_code == 0, result.output
        assert f"see {target / 'data' / 'manifest.jsonl'}" in result.stdout
        assert len(records(target / "data")) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--decode", "--bitrate-kbps", "6"], "no bitrate"),
        (["--decode", "--sink", "tokens"], "no --sink"),
        (["--delay"], "add --sink tokens"),
        (["--parquet"], "add --sink tokens"),
        (["--ray-address", "auto"], "add --engine ray"),
        (["--bag", "--part", "1/2"], "all parts"),
        (["--status", "nowhere/status.json"], "no folder"),
        (["more"], "more"),
    ],
)
def test_wrong_usage_exits_with_2(nacre, archive, tmp_path, options, said):
    result = nacre(archive, tmp_path / "out", *options)
    assert result.exit_code == 2
    assert said in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "a/b"])
def test_parts_that_are_none(nacre, archive, tmp_path, part):
    result = nacre(archive, tmp_path / "out", "--part", part)
    assert result.exit_code == 1
    assert "is no part" in str(result.exception)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_in_order_and_another_run_goes_on(run, start, clips, tmp_path, number):
    target = tmp_path / "out"
    process = start(clips, target, "--num-quantizers", 2, "--workers", 1)
    # A worker is given sixteen at most before it is heard.
    wait_for(lambda: len(list(target.glob("*.nac"))) > 20, process)
    os.killpg(process.pid, number)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "run again to go on" in stderr
    assert "Traceback" not in stderr
    assert not list(target.rglob(".nacre-tmp-*"))
    assert not (target / ".nacre" / "scratch").exists()
    assert len(list(target.glob("*.nac"))) < 40
    assert run(clips, target).unchanged > 4
    run(clips, tmp_path / "clean")
    assert tree(target) == tree(tmp_path / "clean")


def can_mount():
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs none /mnt"]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("decode", [False, True])
def test_a_full_disk_stops_in_order_and_resumes(run, package, clips, tmp_path, decode):
    if not can_mount():
        pytest.skip("can't mount a small disk here")
    if decode:
        run(clips, tmp_path / "coded")
        clips = tmp_path / "coded"
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    options = "--decode" if decode else "--num-quantizers 2"
    size = 500 if decode else 200
    command = f"{sys.executable} -m nacre transcode {clips} {disk}/out --model {package} --workers 1 {options}"
    script = f"mount -t tmpfs -o size={size}k none {disk}; {command}; echo status $?; "
    script += f"mount -o remount,size=100m {disk}; {command}; echo status $?; cp -a {disk}/out {kept}"
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True)
    statuses = [line for line in done.stdout.splitlines() if line.startswith("status")]
    assert statuses == ["status 1", "status 0"], done
    assert "No space left" in done.stderr or "disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert "0 failed" in done.stdout
    from serving.transcode.settings import Settings

    run(clips, tmp_path / "clean", *([Settings(decode=True)] if decode else []))
    assert tree(kept) == tree(tmp_path / "clean")


@pytest.mark.slow
def test_status_is_whole_json_whenever_it_is_read(start, clips, tmp_path):
    process = start(clips, tmp_path / "out", "--num-quantizers", 2)
    path, seen = tmp_path / "out" / ".nacre" / STATUS, []

    def read():
        if path.exists():
            seen.append(json.loads(path.read_text()))
        return bool(seen)

    wait_for(read, process)
    assert seen[0]["pid"] == process.pid
    assert seen[0]["stage"] in ("planning", "running", "packing", "done")
    assert process.wait(60) == 0
    assert len(records(tmp_path / "out")) == 40
    assert not path.exists()
