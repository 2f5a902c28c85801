"""A mirrored tree: whole, resumable, originals untouched."""

import os
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import soundfile

from codec.audio import probe_audio
from codec.container import read_metadata
from codec.errors import DataError, NacreError
from serving.transcode import output, worker
from serving.transcode.coordinator import transcode
from serving.transcode.engines.inline import InlineEngine
from serving.transcode.manifest import MANIFEST
from serving.transcode.settings import Settings
from serving.transcode.tally import Tally
from transcoding import ENCODE, make_order, records, tree

DECODE = Settings(decode=True)
GOOD = ["a.wav", "a.flac", "deep/er/b.wav", "deep/c.mp3", "deep/ÿ ü.ogg"]


def sources(tally):
    return [record.source for record in tally.failures]


def test_the_folder_is_mirrored_and_the_originals_stay(run, model, archive, tmp_path):
    before, target = tree(archive), tmp_path / "out"
    tally = run(archive, target)
    assert (tally.files, tally.done, tally.unchanged, tally.failed, tally.ignored) == (6, 5, 0, 1, 1)
    assert sources(tally) == ["deep/fake.wav"]
    assert set(tree(target)) == {MANIFEST, *(f"{name}.nac" for name in GOOD)}
    assert tree(archive) == before
    manifest = records(target)
    assert list(manifest) == sorted([*GOOD, "deep/fake.wav"])
    assert manifest["deep/fake.wav"]["status"] == "failed"
    assert "fake.wav" in manifest["deep/fake.wav"]["reason"]
    assert manifest["a.wav"]["fingerprint"] == model.package.fingerprint
    assert tally.audio_seconds == pytest.approx(5 * 0.3, abs=0.2)


@pytest.mark.parametrize(("settings", "work"), [(ENCODE, "encode_source"), (DECODE, "write_blocks_as")])
def test_long_files_go_one_at_a_time_and_short_ones_beside_them(run, tmp_path, make_audio, monkeypatch, settings, work):
    (source := tmp_path / "source").mkdir()
    for number in range(8):
        (source / f"{number}.wav").write_bytes(make_audio(seconds=1.0 if number % 2 else 0.25))
    if settings.decode:
        run(source, tmp_path / "coded")
        source = tmp_path / "coded"
    monkeypatch.setattr(worker, "LONG_SECONDS", 0.5)
    real, lock, active, most = getattr(output, work), threading.Lock(), Counter(), Counter()

    def slow(*arguments, **options):
        decode = settings.decode
        seconds = options["num_samples"] / options["sample_rate"] if decode else probe_audio(arguments[1]).seconds
        kind = "long" if seconds > 0.5 else "short"
        with lock:
            active.update([kind])
            for name, count in (active | Counter(both=active.total())).items():
                most[name] = max(most[name], count)
        time.sleep(0.05)
        try:
            return real(*arguments, **options)
        finally:
            with lock:
                active.subtract([kind])

    monkeypatch.setattr(output, work, slow)
    assert run(source, tmp_path / "out", settings).done == 8
    assert most["long"] == 1
    assert most["both"] > 2


def test_its_threads_run_long_and_the_callers_do_not(run, model, archive, tmp_path, monkeypatch):
    before, found = os.sched_getscheduler(0), Counter()

    def noting(name, work):
        def noted(*arguments, **options):
            found[name, os.sched_getscheduler(0)] += 1
            return work(*arguments, **options)

        return noted

    monkeypatch.setattr(output, "encode_source", noting("file", output.encode_source))
    monkeypatch.setattr(model.codec, "encode", noting("model", model.codec.encode))
    assert run(archive, tmp_path / "out").done == 5
    assert set(found) == {("file", os.SCHED_BATCH), ("model", os.SCHED_BATCH)}
    assert os.sched_getscheduler(0) == before


@pytest.mark.parametrize("settings", [ENCODE, DECODE])
def test_files_under_way_count(run, model, tmp_path, make_audio, monkeypatch, settings):
    monkeypatch.setattr("serving.transcode.work.ADVANCE_SECONDS", 0)
    (source := tmp_path / "source").mkdir()
    (source / "a.wav").write_bytes(make_audio(seconds=30))
    if settings.decode:
        run(source, tmp_path / "coded")
        source = tmp_path / "coded"
    tally, seen = Tally(), []

    class Watched(InlineEngine):
        def run(self, *arguments, **options):
            for news in super().run(*arguments, **options):
                yield news  # and the tally knows of it
                seen.append((tally.done, tally.audio_seconds_so_far, tally.eta_seconds))

    transcode(make_order(model, source, tmp_path / "out", settings), Watched(model), tally)
    under_way = [facts for facts in seen if facts[0] == 0]
    assert len(under_way) > 2
    assert [seconds for _, seconds, _ in seen] == sorted(seconds for _, seconds, _ in seen)
    assert all(0 < seconds <= 30 and eta is not None for _, seconds, eta in under_way)
    assert seen[-1][:2] == (1, 30)


def test_a_second_run_does_only_what_is_missing_or_changed(run, archive, tmp_path, make_audio):
    target = tmp_path / "out"
    run(archive, target)
    (archive / "deep" / "fake.wav").unlink()
    first = tree(target)
    times = {path: path.stat().st_ctime_ns for path in target.rglob("*.nac")}

    assert run(archive, target).done == 0
    os.utime(archive / "a.flac")
    again = run(archive, target)
    assert (again.done, again.unchanged) == (0, 5)
    assert {path: path.stat().st_ctime_ns for path in target.rglob("*.nac")} == times
    (target / "a.wav.nac").unlink()
    assert run(archive, target).done == 1
    assert tree(target)["a.wav.nac"] == first["a.wav.nac"]
    (archive / "a.wav").write_bytes(make_audio(seconds=0.3, seed=99))
    (archive / "new.wav").write_bytes(make_audio(seed=7))
    assert run(archive, target).done == 2
    assert tree(target)["a.wav.nac"] != first["a.wav.nac"]
    assert tree(target)["deep/er/b.wav.nac"] == first["deep/er/b.wav.nac"]


def test_other_settings_or_another_model_redo_everything(run, other_model, archive, tmp_path):
    target = tmp_path / "out"
    run(archive, target)
    assert run(archive, target, Settings(num_quantizers=1)).done == 5
    assert run(archive, target, Settings(num_quantizers=1), other_model).done == 5


def test_a_repaired_file_is_done_after_a_failure(run, archive, tmp_path, make_audio):
    target, good = tmp_path / "out", (archive / "a.wav").read_bytes()
    run(archive, target)
    whole = (target / "a.wav.nac").read_bytes()
    (archive / "a.wav").write_text("damaged")
    assert run(archive, target).failed == 2
    assert (target / "a.wav.nac").read_bytes() == whole
    (archive / "a.wav").write_bytes(good)
    (archive / "deep" / "fake.wav").write_bytes(make_audio())
    tally = run(archive, target)
    assert (tally.done, tally.failed) == (2, 0)


def test_decoding_restores_names_lengths_rates_and_times(run, archive, tmp_path):
    os.utime(archive / "a.flac", ns=(1, 1_600_000_000_123_456_789))
    run(archive, tmp_path / "out")
    os.utime(tmp_path / "out" / "a.flac.nac")
    tally = run(tmp_path / "out", tmp_path / "back", DECODE)
    assert (tally.done, tally.failed) == (5, 0)
    names = {"a.wav", "a.flac", "deep/er/b.wav", "deep/c.mp3.wav", "deep/ÿ ü.ogg.wav"}
    assert set(tree(tmp_path / "back")) == {MANIFEST, *names}
    assert soundfile.info(tmp_path / "back" / "a.flac").frames == soundfile.info(archive / "a.flac").frames
    assert (tmp_path / "back" / "a.flac").stat().st_mtime_ns == 1_600_000_000_123_456_789


def test_containers_carry_facts_of_their_sources(run, archive, tmp_path):
    run(archive, tmp_path / "out")
    metadata = read_metadata((tmp_path / "out" / "deep" / "er" / "b.wav.nac").read_bytes())
    assert metadata.source_name == "deep/er/b.wav"
    assert metadata.source_sha256 == records(tmp_path / "out")["deep/er/b.wav"]["source_sha256"]
    assert metadata.mtime_ns == (archive / "deep" / "er" / "b.wav").stat().st_mtime_ns


def test_decoding_does_not_overwrite_what_it_did_not_make(run, archive, tmp_path):
    run(archive, tmp_path / "out")
    before = tree(archive)
    refused = {"a.wav.nac", "a.flac.nac", "deep/er/b.wav.nac"}
    assert set(sources(run(tmp_path / "out", archive, DECODE))) == refused
    assert before.items() <= tree(archive).items()
    assert set(sources(run(tmp_path / "out", archive, DECODE))) == refused


def test_two_sources_for_one_output(run, archive, tmp_path):
    run(archive, tmp_path / "out")
    (tmp_path / "out" / "deep" / "c.mp3.wav.nac").write_bytes((tmp_path / "out" / "a.wav.nac").read_bytes())
    (failed,) = run(tmp_path / "out", tmp_path / "back", DECODE).failures
    assert "another file's too" in failed.reason


def test_a_damaged_or_foreign_container_fails_alone(run, other_model, archive, tmp_path):
    run(archive, tmp_path / "out")
    run(archive, tmp_path / "other", by=other_model)
    container = tmp_path / "out" / "a.wav.nac"
    container.write_bytes(container.read_bytes()[:-5])
    foreign = tmp_path / "out" / "foreign.wav.nac"
    foreign.write_bytes((tmp_path / "other" / "a.wav.nac").read_bytes())
    tally = run(tmp_path / "out", tmp_path / "back", DECODE)
    assert set(sources(tally)) == {"a.wav.nac", "foreign.wav.nac"}
    assert tally.done == 4


@pytest.mark.parametrize(
    ("name", "decoded"),
    [("a.wav", "a.wav"), ("a.FLAC", "a.FLAC"), ("a.mp3", "a.mp3.wav"), ("plain", "plain.wav"), ("v1.2", "v1.2.wav")],
)
def test_output_names(name, decoded):
    container = ENCODE.output_name(name)
    assert container == f"{name}.nac"
    assert DECODE.output_name(container) == decoded


def test_folders_that_cannot_be(run, archive, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for source, target in [
        (tmp_path / "missing", tmp_path / "out"),
        (tmp_path / "empty", tmp_path / "out"),
        (tmp_path / "file", tmp_path / "out"),
        (archive, archive),
        (archive, archive / "out"),
        (archive / "deep", archive),
        (archive, tmp_path / "file"),
    ]:
        with pytest.raises(NacreError):
            run(source, target)


def test_what_a_kill_left_is_removed_and_a_damaged_manifest_refused(run, archive, tmp_path):
    target = tmp_path / "out"
    run(archive, target)
    whole = (target / MANIFEST).read_bytes()
    (target / "deep" / ".nacre-tmp-0000-x.nac").write_bytes(b"left by a kill")
    assert run(archive, target).done == 0
    assert (target / MANIFEST).read_bytes() == whole
    assert not list(target.rglob(".nacre*"))
    (target / MANIFEST).write_bytes(b"nonsense\n" + whole)
    with pytest.raises(DataError, match="line 1"):
        run(archive, target)


def test_a_manifest_of_before_is_taken_over(run, archive, tmp_path):
    target = tmp_path / "out"
    run(archive, target)
    lines = (target / MANIFEST).read_text()
    stamp = records(target)["a.wav"]["source_stamp"]
    (target / MANIFEST).write_text(lines.replace(f'"source_stamp": "{stamp}"', f'"source_mtime_ns": {stamp}'))
    assert run(archive, target).unchanged == 5
    assert (target / MANIFEST).read_text() == lines


def test_one_run_at_a_time(run, model, archive, tmp_path):
    refused = []

    class Meddling(InlineEngine):
        def run(self, job, batches, *, alone=False):
            with pytest.raises(NacreError, match="another run"):
                run(archive, tmp_path / "out")
            refused.append(True)
            yield from super().run(job, batches, alone=alone)

    assert run(archive, tmp_path / "out", engine=Meddling(model)).done == 5
    assert refused


def test_names_that_are_no_text_are_refused_and_links_followed(run, archive, tmp_path, make_audio):
    Path(os.fsdecode(os.fsencode(archive) + b"/\xff.wav")).write_bytes(make_audio())
    (archive / "link.wav").symlink_to(archive / "a.wav")
    (archive / "broken.wav").symlink_to(archive / "nowhere")
    tally = run(archive, tmp_path / "out")
    assert (tally.done, tally.failed) == (6, 2)
    assert "no text" in records(tmp_path / "out")["?.wav"]["reason"]


def test_a_source_that_changes_kind_of_failure_is_recorded_anew(run, archive, tmp_path):
    target = tmp_path / "out"
    run(archive, target)
    before = records(target)["deep/fake.wav"]
    (archive / "deep" / "fake.wav").write_bytes(b"")
    run(archive, target)
    after = records(target)["deep/fake.wav"]
    assert after["source_bytes"] == 0
    assert before != after
