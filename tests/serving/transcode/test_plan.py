"""The dry run: it says what a run then does, writes nothing, and takes little memory and time however many files."""

import io
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from nacre import cli
from serving.transcode.estimate import Estimate, estimate
from serving.transcode.settings import Settings
from transcoding import ENCODE, make_order, tree

ROOT = Path(__file__).parents[3]


@pytest.fixture
def plan(model):
    def plan(source, target, settings=ENCODE, **changes):
        return estimate(make_order(model, source, target, settings, **changes), model.package)

    return plan


def test_it_says_what_a_run_then_does(plan, run, archive, tmp_path):
    target = tmp_path / "out"
    before = plan(archive, target)
    assert not target.exists()
    assert (before.files, before.to_do, before.failing, before.ignored) == (6, 5, 1, 1)
    assert list(before.failures) == ["deep/fake.wav"]
    assert {name: found.files for name, found in before.formats.items()} == {"wav": 2, "flac": 1, "mp3": 1, "ogg": 1}
    tally = run(archive, target)
    assert tally.done == before.to_do
    assert tally.audio_seconds == pytest.approx(before.seconds, rel=0.05)
    assert before.bytes_after == pytest.approx(tally.output_bytes, rel=0.5)
    whole = tree(target)
    after = plan(archive, target)
    assert (after.to_do, after.unchanged, after.failing) == (0, 5, 1)
    assert tree(target) == whole


def test_decoding_is_planned_by_containers_headers(plan, run, other_model, archive, tmp_path):
    run(archive, tmp_path / "coded")
    run(archive, tmp_path / "foreign", by=other_model)
    (tmp_path / "coded" / "foreign.wav.nac").write_bytes((tmp_path / "foreign" / "a.wav.nac").read_bytes())
    result = plan(tmp_path / "coded", tmp_path / "back", Settings(decode=True))
    assert (result.to_do, result.failing) == (5, 1)
    tally = run(tmp_path / "coded", tmp_path / "back", Settings(decode=True))
    assert tally.audio_seconds == pytest.approx(result.seconds)
    assert result.bytes_after == pytest.approx(tally.output_bytes, rel=0.5)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_archives_are_planned(plan, tmp_path, make_audio, kind):
    path, data = tmp_path / f"a.{kind}", make_audio(seconds=0.5)
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.wav", data)
            archive.writestr("b.wav", "none")
    else:
        with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as tar:
            for name, content in (("a.wav", data), ("b.wav", b"none")):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    result = plan(path, tmp_path / "out")
    assert (result.to_do, result.failing, result.seconds) == (1, 1, 0.5)


def test_time_and_cost_follow_from_the_speed():
    result = Estimate(model_seconds=36_000.0, workers=4, speed=100.0, cost_per_hour=9.0)
    assert result.work_seconds == pytest.approx(100.0)
    assert result.cost == pytest.approx(0.25)
    assert Estimate(model_seconds=1.0).work_seconds is None


def test_the_command_prints_and_exits_with_1_if_any_will_fail(package, archive, tmp_path):
    words = ["transcode", "plan", str(archive), str(tmp_path / "out"), "--model", str(package), "--cost-per-hour", "2"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 1
    assert "6: 5 to do, 0 unchanged, 1 will fail; 1 others left" in result.output
    assert "will fail    deep/fake.wav: " in result.output
    assert "times real time each" in result.output
    assert "cost         about 0.00, at 2.00 an hour" in result.output
    (archive / "deep" / "fake.wav").unlink()
    result = CliRunner().invoke(cli, [*words, "--json"])
    assert result.exit_code == 0
    found = json.loads(result.output)
    assert (found["to_do"], found["formats"]["flac"]["files"]) == (5, 1)
    assert found["speed"] > 0


PLAN = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from codec.package import open_package
from serving.transcode.estimate import estimate
from serving.transcode.order import Order
from serving.transcode.settings import Settings

package = open_package(Path({package!r}))
order = Order(source={source!r}, target={target!r}, package=package.directory, fingerprint=package.fingerprint,
              settings=Settings(num_quantizers=2))
started = time.process_time()
result = estimate(order, package)
peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
assert "torch" not in sys.modules
print(result.to_do, time.process_time() - started, peak)
"""


def planned(package, source, target):
    """Return the files to do of a plan in a process of its own, its seconds of a core, and its most MB of memory."""
    code = PLAN.format(root=str(ROOT), package=str(package), source=str(source), target=str(target))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return tuple(map(float, done.stdout.split()))


def write_many(path, kind, count, data):
    if kind == "folder":
        for index in range(count):
            if index % 1000 == 0:
                (path / f"{index // 1000:03d}").mkdir(parents=True)
            (path / f"{index // 1000:03d}" / f"{index:06d}.wav").write_bytes(data)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for index in range(count):
                archive.writestr(f"{index:06d}.wav", data)
    else:
        with tarfile.open(path, "w") as tar:
            for index in range(count):
                info = tarfile.TarInfo(f"{index:06d}.wav")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_memory_hardly_grows_with_the_number_of_files(package, tmp_path, make_audio, kind):
    data, peaks = make_audio(seconds=0.01), []
    for count in (200, 4000):
        source = write_many(tmp_path / f"{kind}{count}", kind, count, data)
        found, _, peak = planned(package, source, tmp_path / "out")
        assert found == count
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 16


@pytest.mark.slow
def test_100_000_files_in_a_minute_and_500_mb(package, tmp_path, make_audio):
    source = write_many(tmp_path / "source", "tar", 100_000, make_audio(seconds=0.01))
    found, seconds, peak = planned(package, source, tmp_path / "out")
    assert found == 100_000
    assert peak < 500
    assert seconds < 60
