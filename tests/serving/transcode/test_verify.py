"""Verifying a transcode: what is whole passes, whatever is wrong is found and named, and what falls short is redone."""

import hashlib
import io
import json
import re
import subprocess
from contextlib import contextmanager

import pytest

from codec.audio import AudioLimits
from codec.errors import DataError, NacreError
from codec.package import open_package
from serving.conversion import encode_source
from serving.transcode.bags.write import write_bag
from serving.transcode.coordinator import transcode
from serving.transcode.engines.inline import InlineEngine
from serving.transcode.order import Order
from serving.transcode.settings import Settings
from serving.transcode.tally import Tally
from serving.transcode.verify.bagging import bag_transcode, write_checksums
from serving.transcode.verify.finding import Floors
from serving.transcode.verify.pool import Here
from serving.transcode.verify.run import VerifyOrder, verify
from serving.transcode.work import Outcome

NAMES = ["a.wav", "deep/b.flac", "deep/c.wav", "d.mp3"]


@pytest.fixture
def archive(tmp_path, make_audio):
    root = tmp_path / "archive"
    for seed, name in enumerate(NAMES):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_audio(seconds=0.3, seed=seed, channels=1 + seed % 2, format=path.suffix[1:]))
    (root / "notes.txt").write_text("not audio")
    return root


@pytest.fixture
def run_transcode(model, package, archive, tmp_path):
    def run(source=archive, target=tmp_path / "out", **settings):
        order = Order(
            source=str(source),
            target=str(target),
            package=package,
            fingerprint=model.package.fingerprint,
            settings=Settings(**{"num_quantizers": 1} | settings),
            shard_records=3,
        )
        transcode(order, InlineEngine(model))
        return target

    return run


@pytest.fixture
def run_verify(model, package, archive, tmp_path):
    def run(source=archive, target=tmp_path / "out", floors=None, package=package, engine=None, tally=None, **changes):
        order = VerifyOrder(
            source=str(source),
            target=str(target),
            package=package,
            fingerprint=open_package(package).fingerprint,
            floors=floors or Floors(),
            report=tmp_path / "report",
            **changes,
        )
        return verify(order, Here(), engine or InlineEngine(model), tally)

    return run


@pytest.fixture
def lines(tmp_path):
    def read():
        return [json.loads(line) for line in (tmp_path / "report" / "report.jsonl").read_text().splitlines()]

    return read


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def tree(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@contextmanager
def rewritten(path):
    data = bytearray(path.read_bytes())
    yield data
    path.write_bytes(data)


def test_a_whole_transcode_passes_and_nothing_is_touched(run_transcode, run_verify, lines, archive):
    target = run_transcode()
    before = tree(target), tree(archive)
    summary = run_verify()
    assert (tree(target), tree(archive)) == before
    assert (summary.num_files, summary.num_failures) == (4, 0)
    found = lines()
    assert [line["source"] for line in found] == sorted(NAMES)
    for line in found:
        assert line["status"] == "ok"
        assert line["output"] == f"{line['source']}.nac"
        assert line["sample_rate"] == 8_000
        kbps = 8 * len(before[0][line["output"]]) / line["seconds"] / 1000
        assert line["measured_kbps"] == pytest.approx(kbps, abs=1e-3)
        assert line["si_sdr_db_worst"] == line["si_sdr_db"]
        assert "visqol" not in line
    assert found[0]["seconds"] == 0.3


def test_a_report_is_the_same_again_and_stands_alone(run_transcode, run_verify, tmp_path):
    run_transcode()
    run_verify(floors=Floors(si_sdr_db=-100))
    first = tree(tmp_path / "report")
    run_verify(floors=Floors(si_sdr_db=-100))
    assert tree(tmp_path / "report") == first
    page = first["report.html"].decode()
    assert page.count("<audio ") == 2 * len(NAMES)
    assert page.count('src="data:audio/flac;base64,') == 2 * len(NAMES)
    assert set(re.findall(r'(?:src|href)="([^:"]*):', page)) == {"data"}
    assert "<svg" in page
    assert "prefers-color-scheme: dark" in page


def test_a_file_is_seen_to_advance(run_transcode, run_verify, archive, make_audio, monkeypatch):
    (archive / "a.wav").write_bytes(make_audio(seconds=25))
    run_transcode()
    monkeypatch.setattr("serving.transcode.work.ADVANCE_SECONDS", 0)
    tally, told = Tally(), []
    advance = tally.advance

    def noted(source, *, num_bytes, seconds):
        advance(source, num_bytes=num_bytes, seconds=seconds)
        told.append((source, num_bytes, tally.audio_seconds_so_far))

    monkeypatch.setattr(tally, "advance", noted)
    assert run_verify(tally=tally).num_failures == 0
    long = [(num_bytes, seconds) for source, num_bytes, seconds in told if source == "a.wav"]
    assert len(long) > 2
    assert long == sorted(set(long))
    assert long[-1][0] == (archive / "a.wav").stat().st_size
    assert tally.audio_seconds_so_far == tally.audio_seconds


def alter_output(archive, target):
    with rewritten(target / "a.wav.nac") as data:
        data[-1] ^= 1


def alter_source(archive, target):
    with rewritten(archive / "a.wav") as data:
        data[-1] ^= 1


def remove_output(archive, target):
    (target / "a.wav.nac").unlink()


def remove_source(archive, target):
    (archive / "a.wav").unlink()


def change_record(target, source, **changes):
    records = [json.loads(line) for line in (target / "manifest.jsonl").read_text().splitlines()]
    lines = (json.dumps(record | (changes if record["source"] == source else {})) for record in records)
    (target / "manifest.jsonl").write_text("".join(f"{line}\n" for line in lines))


def swap_output(archive, target):
    """Give a file another's output, with a manifest that says so."""
    data = (target / "deep" / "c.wav.nac").read_bytes()
    (target / "a.wav.nac").write_bytes(data)
    change_record(target, "a.wav", output_sha256=sha256(data), output_bytes=len(data))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (alter_output, "its output was altered since"),
        (alter_source, "its source was altered since"),
        (remove_output, "its output is not there"),
        (remove_source, "its source is gone"),
        (swap_output, "made from another file"),
    ],
)
def test_what_is_wrong_with_a_file_is_found_and_named(run_transcode, run_verify, lines, archive, spoil, reason):
    target = run_transcode()
    spoil(archive, target)
    summary = run_verify()
    assert summary.num_failures == 1
    (failed,) = [line for line in lines() if line["status"] != "ok"]
    assert (failed["source"], failed["status"]) == ("a.wav", "failed")
    assert reason in failed["reason"]


def test_files_without_records_are_found(run_transcode, run_verify, lines, archive, make_audio):
    target = run_transcode()
    (archive / "new.wav").write_bytes(make_audio())
    (target / "deep" / "stray.wav.nac").write_bytes(b"x")
    summary = run_verify()
    assert summary.describe() == "4 good, 0 failed, 1 missing, 1 strays"
    by_status = {line["status"]: line for line in lines()}
    assert by_status["missing"]["source"] == "new.wav"
    assert by_status["stray"]["output"] == "deep/stray.wav.nac"
    assert "source" not in by_status["stray"]


def test_what_could_not_be_transcoded_is_a_failure(run_transcode, run_verify, lines, archive):
    (archive / "fake.wav").write_text("no audio")
    run_transcode()
    assert run_verify().num_failures == 1
    (failed,) = [line for line in lines() if line["status"] == "failed"]
    assert failed["reason"].startswith("it was not transcoded: ")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"seconds": 2_399 / 8_000}, "its output is 2399 samples long, its source 2400"),
        ({"seconds": 2_401 / 8_000}, "its output is 2401 samples long, its source 2400"),
        ({"channels": 2}, "its output has 2 channels, its source 1"),
        ({"sample_rate": 16_000}, "its output has 16000 Hz, its source 8000 Hz"),
    ],
)
def test_an_output_unlike_its_source_is_found(run_transcode, run_verify, lines, model, make_audio, facts, reason):
    target = run_transcode()
    audio = io.BytesIO(make_audio(**{"seconds": 0.3} | facts))
    data = encode_source(model, audio, AudioLimits(), num_quantizers=1).data
    (target / "a.wav.nac").write_bytes(data)
    change_record(target, "a.wav", output_sha256=sha256(data), output_bytes=len(data))
    assert run_verify().num_failures == 1
    assert lines()[0]["reason"] == reason


def test_a_floor_fails_what_is_below_it(run_transcode, run_verify, lines):
    run_transcode()
    run_verify()
    values = sorted(line["si_sdr_db"] for line in lines())
    summary = run_verify(floors=Floors(si_sdr_db=(values[1] + values[2]) / 2))
    assert summary.num_failures == 2
    below = [line for line in lines() if line["status"] == "failed"]
    assert [line["below"] for line in below] == [["si_sdr_db"]] * 2
    assert all("its SI-SDR of" in line["reason"] for line in below)


@pytest.mark.parametrize("sink", ["tree", "containers"])
def test_what_misses_a_floor_is_encoded_again_and_stays_so(run_transcode, run_verify, lines, sink):
    target = run_transcode(sink=sink)
    run_verify()
    before = {line["source"]: line for line in lines()}
    floor = sorted(line["si_sdr_db"] for line in before.values())[2]
    summary = run_verify(floors=Floors(si_sdr_db=floor), repair_quantizers=4)
    assert summary.repaired == 2
    after = {line["source"]: line for line in lines()}
    repaired = [name for name in NAMES if "repaired" in after[name]]
    assert repaired == [name for name in NAMES if before[name]["si_sdr_db"] < floor]
    for name in NAMES:
        if name in repaired:
            assert after[name]["measured_kbps"] > after[name]["repaired"]["measured_kbps"]
            assert after[name]["repaired"]["si_sdr_db"] == before[name]["si_sdr_db"]
        else:
            assert after[name] == before[name]
    whole = tree(target)
    assert not any(name.startswith(".nacre") for name in whole)
    run_transcode(sink=sink)
    assert tree(target) == whole
    again = run_verify(floors=Floors(si_sdr_db=floor), repair_quantizers=4)
    assert (again.repaired, again.num_failures) == (0, summary.num_failures)
    assert tree(target) == whole


class Stopping:
    """An engine that can't write after a while."""

    def __init__(self, engine, after):
        self._engine, self._left = engine, after

    def run(self, job, batches, *, alone=False):
        for outcome in self._engine.run(job, batches, alone=alone):
            if not self._left:
                yield Outcome(source=outcome.source, status="blocked", reason="the disk is full")
            self._left -= 1
            yield outcome


@pytest.mark.parametrize("sink", ["tree", "containers"])
def test_a_repair_that_can_not_go_on_leaves_order(run_transcode, run_verify, model, lines, sink):
    target = run_transcode(sink=sink)
    with pytest.raises(NacreError, match="the disk is full"):
        run_verify(floors=Floors(si_sdr_db=90), repair_quantizers=4, engine=Stopping(InlineEngine(model), 2))
    assert not list(target.rglob(".nacre*"))
    run_verify(floors=Floors(si_sdr_db=90), repair_quantizers=4)
    assert sum("repaired" in line for line in lines()) in (1, 2)
    run_verify()
    assert sum(line["status"] == "ok" for line in lines()) >= 3


def test_shards_are_verified_record_by_record(run_transcode, run_verify, lines):
    target = run_transcode(sink="containers")
    assert run_verify().num_failures == 0
    assert lines()[0]["output"] == "shard-000000.tar/a.wav.nac"
    with rewritten(target / "shard-000000.tar") as data:
        data[600] ^= 1
    (target / "shard-000009.tar").write_bytes(b"x")
    with (target / "shard-000001.tar").open("ab") as file:
        file.write(bytes(512))
    run_verify()
    bad = {line["output"]: line["reason"] for line in lines() if line["status"] != "ok"}
    assert set(bad) == {"shard-000000.tar/a.wav.nac", "shard-000009.tar", "shard-000001.tar"}
    assert "its output was altered" in bad["shard-000000.tar/a.wav.nac"]
    assert "no record" in bad["shard-000009.tar"]
    assert "bytes, its records" in bad["shard-000001.tar"]


def test_a_transcode_at_a_url_is_verified_and_repaired(run_transcode, run_verify, tmp_path):
    target = f"memory://{tmp_path.name}"
    run_transcode(target=target)
    assert run_verify(target=target).num_failures == 0
    write_checksums(target)
    assert run_verify(target=target, floors=Floors(si_sdr_db=90), repair_quantizers=2).repaired == 4
    assert run_verify(target=target).num_failures == 0


def test_decoded_audio_is_verified_against_containers(run_transcode, run_verify, lines, tmp_path):
    run_transcode(source=run_transcode(), target=tmp_path / "back", decode=True)
    summary = run_verify(source=tmp_path / "out", target=tmp_path / "back", floors=Floors(si_sdr_db=30))
    assert (summary.num_files, summary.num_failures) == (4, 0)
    assert {line["output"] for line in lines()} == {"a.wav", "deep/b.flac", "deep/c.wav", "d.mp3.wav"}


def test_a_bag_is_verified_repaired_and_kept_valid(run_transcode, run_verify, lines, tmp_path):
    target = run_transcode()
    bag_transcode(target)
    assert run_verify().num_failures == 0
    assert run_verify(floors=Floors(si_sdr_db=100), repair_quantizers=2).repaired == 4
    assert run_verify().num_failures == 0
    bag_transcode(target)
    first = tree(target)
    (target / "data" / "a.wav.nac").rename(target / "data" / "b.wav.nac")
    run_verify()
    bad = {line.get("source") or line["output"]: line["reason"] for line in lines() if line["status"] != "ok"}
    assert set(bad) == {"a.wav", "b.wav.nac", "bagit.txt"}
    (target / "data" / "b.wav.nac").rename(target / "data" / "a.wav.nac")
    bag_transcode(target)
    assert tree(target) == first


def test_a_bag_as_source(run_transcode, run_verify, archive):
    write_bag(archive)
    run_transcode()
    assert run_verify().num_failures == 0
    with rewritten(archive / "data" / "a.wav") as data:
        data[-1] ^= 1
    assert run_verify().num_failures == 1


def test_lists_of_checksums_hold(run_transcode, archive, tmp_path):
    for target in (run_transcode(), run_transcode(target=tmp_path / "shards", sink="containers")):
        write_checksums(str(target))
        for folder, name in ((archive, "source-sha256.txt"), (target, "output-sha256.txt")):
            words = ["sha256sum", "--strict", "--quiet", "-c", target / name]
            assert subprocess.run(words, cwd=folder, check=False).returncode == 0
    assert len((target / "output-sha256.txt").read_text().splitlines()) == 2


def test_what_can_not_be_verified_is_refused(run_transcode, run_verify, archive, tmp_path, other_package):
    with pytest.raises(DataError, match="no folder"):
        run_verify()
    with pytest.raises(DataError, match=r"no manifest\.jsonl"):
        run_verify(target=archive)
    target = run_transcode()
    with pytest.raises(DataError, match="another model"):
        run_verify(package=other_package)
    (target / ".nacre").mkdir()
    with pytest.raises(NacreError, match="has not finished"):
        run_verify()
    with pytest.raises(NacreError, match="has not finished"):
        bag_transcode(target)
    (target / ".nacre").rmdir()
    bag_transcode(target)
    with pytest.raises(NacreError, match="is a bag"):
        write_checksums(str(target))
