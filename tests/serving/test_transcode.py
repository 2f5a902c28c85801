"""Batch transcoding: mirrored, resumable, exact after kill -9, originals untouched."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import soundfile

from codec.errors import DataError, NacreError
from serving.transcode import MANIFEST, Settings, output_name, transcode_tree

ENCODE = Settings(num_quantizers=2)
DECODE = Settings(decode=True)


@pytest.fixture
def archive(tmp_path, make_audio):
    """Return a folder of audio, one file that isn't, and one that pretends to be."""
    root = tmp_path / "archive"
    for seed, name in enumerate(["a.wav", "a.flac", "deep/er/b.wav", "deep/c.mp3", "deep/ÿ ü.ogg"]):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_audio(seconds=0.3, seed=seed, format=path.suffix[1:]))
    (root / "notes.txt").write_text("not audio")
    (root / "deep" / "fake.wav").write_text("no audio either")
    return root


def tree(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def records(target):
    return {record["source"]: record for record in map(json.loads, (target / MANIFEST).read_text().splitlines())}


def test_the_folder_is_mirrored_and_the_originals_stay(model, archive, tmp_path):
    before, target = tree(archive), tmp_path / "out"
    summary = transcode_tree(model, archive, target, ENCODE)
    assert (summary.done, summary.unchanged, summary.ignored) == (5, 0, 1)
    assert [record.source for record in summary.failed] == ["deep/fake.wav"]
    good = ["a.wav", "a.flac", "deep/er/b.wav", "deep/c.mp3", "deep/ÿ ü.ogg"]
    assert set(tree(target)) == {MANIFEST, *(f"{name}.nac" for name in good)}
    assert tree(archive) == before
    manifest = records(target)
    assert list(manifest) == sorted([*good, "deep/fake.wav"])
    assert manifest["deep/fake.wav"]["status"] == "failed"
    assert "fake.wav" in manifest["deep/fake.wav"]["reason"]
    assert manifest["a.wav"]["fingerprint"] == model.package.fingerprint


def test_a_second_run_does_only_what_is_missing_or_changed(model, archive, tmp_path, make_audio):
    target = tmp_path / "out"
    transcode_tree(model, archive, target, ENCODE)
    (archive / "deep" / "fake.wav").unlink()
    first = tree(target)
    times = {path: path.stat().st_mtime_ns for path in target.rglob("*.nac")}

    assert transcode_tree(model, archive, target, ENCODE).done == 0
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*.nac")} == times
    os.utime(archive / "a.flac")
    assert transcode_tree(model, archive, target, ENCODE).done == 0
    (target / "a.flac.nac").unlink()
    assert transcode_tree(model, archive, target, ENCODE).done == 1
    assert tree(target)["a.flac.nac"] == first["a.flac.nac"]
    (archive / "a.wav").write_bytes(make_audio(seconds=0.3, seed=99))
    (archive / "new.wav").write_bytes(make_audio(seed=7))
    assert transcode_tree(model, archive, target, ENCODE).done == 2
    assert tree(target)["a.wav.nac"] != first["a.wav.nac"]


def test_other_settings_or_another_model_redo_everything(model, other_model, archive, tmp_path):
    target = tmp_path / "out"
    transcode_tree(model, archive, target, ENCODE)
    assert transcode_tree(model, archive, target, Settings(num_quantizers=1)).done == 5
    assert transcode_tree(other_model, archive, target, Settings(num_quantizers=1)).done == 5


def test_a_repaired_file_is_done_after_a_failure(model, archive, tmp_path, make_audio):
    target, good = tmp_path / "out", (archive / "a.wav").read_bytes()
    transcode_tree(model, archive, target, ENCODE)
    whole = (target / "a.wav.nac").read_bytes()
    (archive / "a.wav").write_text("damaged")
    assert len(transcode_tree(model, archive, target, ENCODE).failed) == 2
    assert (target / "a.wav.nac").read_bytes() == whole
    (archive / "a.wav").write_bytes(good)
    (archive / "deep" / "fake.wav").write_bytes(make_audio())
    summary = transcode_tree(model, archive, target, ENCODE)
    assert (summary.done, summary.failed) == (2, [])


def test_decoding_restores_names_lengths_and_rates(model, archive, tmp_path):
    transcode_tree(model, archive, tmp_path / "out", ENCODE)
    summary = transcode_tree(model, tmp_path / "out", tmp_path / "back", DECODE)
    assert (summary.done, summary.failed) == (5, [])
    names = {"a.wav", "a.flac", "deep/er/b.wav", "deep/c.mp3.wav", "deep/ÿ ü.ogg.wav"}
    assert set(tree(tmp_path / "back")) == {MANIFEST, *names}
    assert soundfile.info(tmp_path / "back" / "a.flac").frames == soundfile.info(archive / "a.flac").frames


def test_decoding_does_not_overwrite_what_it_did_not_make(model, archive, tmp_path):
    transcode_tree(model, archive, tmp_path / "out", ENCODE)
    before = tree(archive)
    summary = transcode_tree(model, tmp_path / "out", archive, DECODE)
    refused = {record.source for record in summary.failed}
    assert refused == {"a.wav.nac", "a.flac.nac", "deep/er/b.wav.nac"}
    assert before.items() <= tree(archive).items()
    again = transcode_tree(model, tmp_path / "out", archive, DECODE)
    assert {record.source for record in again.failed} == refused


def test_two_sources_for_one_output(model, archive, tmp_path):
    transcode_tree(model, archive, tmp_path / "out", ENCODE)
    (tmp_path / "out" / "deep" / "c.mp3.wav.nac").write_bytes((tmp_path / "out" / "a.wav.nac").read_bytes())
    (failed,) = transcode_tree(model, tmp_path / "out", tmp_path / "back", DECODE).failed
    assert "another file's too" in failed.reason


def test_a_damaged_or_foreign_container_fails_alone(model, other_model, archive, tmp_path):
    transcode_tree(model, archive, tmp_path / "out", ENCODE)
    transcode_tree(other_model, archive, tmp_path / "other", ENCODE)
    container = tmp_path / "out" / "a.wav.nac"
    container.write_bytes(container.read_bytes()[:-5])
    foreign = tmp_path / "out" / "foreign.wav.nac"
    foreign.write_bytes((tmp_path / "other" / "a.wav.nac").read_bytes())
    summary = transcode_tree(model, tmp_path / "out", tmp_path / "back", DECODE)
    assert {record.source for record in summary.failed} == {"a.wav.nac", "foreign.wav.nac"}
    assert summary.done == 4


@pytest.mark.parametrize(
    ("name", "decoded"),
    [("a.wav", "a.wav"), ("a.FLAC", "a.FLAC"), ("a.mp3", "a.mp3.wav"), ("plain", "plain.wav"), ("v1.2", "v1.2.wav")],
)
def test_output_names(name, decoded):
    container = output_name(name, ENCODE)
    assert container == f"{name}.nac"
    assert output_name(container, DECODE) == decoded


def test_folders_that_cannot_be(model, archive, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for source, target in [
        (tmp_path / "missing", tmp_path / "out"),
        (tmp_path / "empty", tmp_path / "out"),
        (archive, archive),
        (archive, archive / "out"),
        (archive / "deep", archive),
        (archive, tmp_path / "file"),
    ]:
        with pytest.raises(NacreError):
            transcode_tree(model, source, target, ENCODE)


def test_a_manifest_cut_short_is_mended_and_a_damaged_one_is_refused(model, archive, tmp_path):
    target = tmp_path / "out"
    transcode_tree(model, archive, target, ENCODE)
    whole = (target / MANIFEST).read_bytes()
    (target / MANIFEST).write_bytes(whole + b'{"source": "deep/fa')
    (target / "deep" / ".nacre-tmp-0000-x.nac").write_bytes(b"left by a kill")
    assert transcode_tree(model, archive, target, ENCODE).done == 0
    assert (target / MANIFEST).read_bytes() == whole
    assert not list(target.rglob(".nacre-tmp-*"))
    (target / MANIFEST).write_bytes(b"nonsense\n" + whole)
    with pytest.raises(DataError, match="line 1"):
        transcode_tree(model, archive, target, ENCODE)


def test_one_run_at_a_time(model, archive, tmp_path):
    def start_another(*_):
        with pytest.raises(NacreError, match="another run"):
            transcode_tree(model, archive, tmp_path / "out", ENCODE)

    assert transcode_tree(model, archive, tmp_path / "out", ENCODE, start_another).done == 5


def command(package, *words):
    return [sys.executable, "-m", "nacre", "transcode", *map(str, words), "--model", str(package)]


@pytest.mark.slow
def test_killed_again_and_again_it_ends_as_one_clean_run(model, package, tmp_path, make_audio):
    archive, target = tmp_path / "archive", tmp_path / "out"
    archive.mkdir()
    for index in range(60):
        (archive / f"{index:03d}.wav").write_bytes(make_audio(seconds=4, seed=index))
    words = command(package, archive, target, "--num-quantizers", 2)
    for lines in (9, 50):
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        manifest = target / MANIFEST
        while process.poll() is None and (not manifest.exists() or manifest.read_bytes().count(b"\n") < lines):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    partly = len(list(target.glob("*.nac")))
    assert 0 < partly < 60
    assert transcode_tree(model, archive, target, ENCODE).done <= 60 - partly + 1
    transcode_tree(model, archive, tmp_path / "clean", ENCODE)
    assert tree(target) == tree(tmp_path / "clean")


def test_the_command_reports_and_exits_with_1_if_any_failed(package, archive, tmp_path):
    done = subprocess.run(
        command(package, archive, tmp_path / "out", "--bitrate-kbps", 2), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "5 done, 0 unchanged, 1 failed" in done.stdout
    assert "failed: deep/fake.wav" in done.stderr
    assert "Traceback" not in done.stderr
