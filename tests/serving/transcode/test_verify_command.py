"""`nacre transcode verify` and its neighbours as commands: exit statuses, processes that die, and Ctrl-C."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from click.testing import CliRunner

from serving.transcode.verify.command import bag, checksums, verify
from serving.transcode.verify.pool import Pool
from serving.transcode.work import Advance


@pytest.fixture
def transcoded(tmp_path, make_audio, run):
    (tmp_path / "archive").mkdir()
    for seed in range(3):
        (tmp_path / "archive" / f"{seed}.wav").write_bytes(make_audio(seconds=0.3, seed=seed))
    run(tmp_path / "archive", tmp_path / "out")
    return tmp_path


def words(folder, package, *more):
    return [str(folder / "archive"), str(folder / "out"), "--model", str(package), *more]


def command(*arguments):
    return [sys.executable, "-m", "nacre", "transcode", "verify", *arguments]


@pytest.mark.slow
def test_processes_verify_repair_and_report(transcoded, package):
    more = ["--min-si-sdr", "90", "--repair-kbps", "4", "--report", str(transcoded / "report"), "--workers", "1"]
    done = subprocess.run(command(*words(transcoded, package, *more)), capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("0 good, 3 failed, 0 missing, 0 strays, 3 encoded again")
    assert "failed: 0.wav: its SI-SDR of" in done.stderr
    lines = [json.loads(line) for line in (transcoded / "report" / "report.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == ["0.wav", "1.wav", "2.wav"]
    assert all(line["measured_kbps"] > line["repaired"]["measured_kbps"] for line in lines)


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_and_reports_nothing(transcoded, package):
    report = transcoded / "report"
    process = subprocess.Popen(
        command(*words(transcoded, package, "--workers", "1", "--report", str(report))),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    children = []
    while process.poll() is None and not any("spawn_main" in " ".join(child.cmdline()) for child in children):
        time.sleep(0.01)
        children = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    assert "stopped; nothing was reported" in errors
    assert "Traceback" not in errors
    assert psutil.wait_procs(children, timeout=30)[1] == []
    assert not report.exists()


def divide(item, tell):
    """What processes do in the tests below: tell how far they are, and divide, or vanish."""
    name, told, divisor = item
    for seconds in told:
        tell(Advance(source=name, seconds=seconds, all_seconds=4.0))
    if divisor is None:
        os._exit(3)
    return 12 / divisor


def test_what_kills_its_process_is_lost_alone():
    items = [("a", (), 1), ("b", (1,), None), ("c", (), 2), ("d", (), 3), ("e", (), 4)]
    told = []
    with Pool(2) as pool:
        assert dict(pool.run(divide, iter(items), told.append)) == dict(zip(items, (12, None, 6, 4, 3), strict=True))
        assert {advance.source for advance in told} == {"b"}
        assert list(pool.run(divide, iter([("f", (), 6)]), told.append)) == [(("f", (), 6), 2)]
        with pytest.raises(ZeroDivisionError):
            list(pool.run(divide, iter([("g", (), 0)]), told.append))


def test_how_far_calls_are_is_told_before_their_results():
    too_long = "long" * 2000  # told in more bytes than go into the pipe as one
    items = [*((f"{number}", (1, 2), 1) for number in range(50)), (too_long, (3,), 1)]
    happened = []
    with Pool(2) as pool:
        for item, _ in pool.run(divide, iter(items), lambda told: happened.append((told.source, told.share))):
            happened.append((item[0], 1.0))
    shares = {name: [share for other, share in happened if other == name] for name, _, _ in items}
    assert shares == {name: [0.25, 0.5, 1.0] for name, _, _ in items} | {too_long: [1.0]}


def test_without_visqol_its_floor_is_refused(transcoded, package, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "serving.transcode.verify.visqol.find_spec", lambda name: None if name == "visqol" else found(name)
    )
    result = CliRunner().invoke(verify, words(transcoded, package, "--min-visqol", "3"))
    assert result.exit_code == 2
    assert "ViSQOL is not installed: pip install 'nacre[metrics]'" in result.output


def test_a_repair_needs_a_floor(transcoded, package):
    result = CliRunner().invoke(verify, words(transcoded, package, "--repair-kbps", "4"))
    assert result.exit_code == 2
    assert "--min-si-sdr" in result.output


def test_checksums_and_bag_as_commands(transcoded):
    out = transcoded / "out"
    assert CliRunner().invoke(checksums, [str(out)]).exit_code == 0
    assert len((out / "output-sha256.txt").read_text().splitlines()) == 3
    assert CliRunner().invoke(bag, [str(out)]).exit_code == 0
    assert (out / "bagit.txt").is_file()
    assert len(list((out / "data").glob("*.nac"))) == 3
