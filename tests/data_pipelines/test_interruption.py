"""Kill -9 anywhere: the data set is whole or absent, and running again completes it to the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from codec.errors import DataError
from data_pipelines.build import BuildConfig, build_dataset
from data_pipelines.folder import DataFolder
from data_pipelines.index import read_index, verify_shards

CONFIG = BuildConfig(val_percent=30, test_percent=10, shard_bytes=400_000)

# Builds, and kills itself with SIGKILL at the n-th change of a name (rename or removal) or, for n = 0, never.
BUILD_AND_DIE = """
import os, signal, sys
from pathlib import Path
from data_pipelines.build import BuildConfig, build_dataset
count = 0
def hook(event, arguments):
    global count
    if event in ("os.rename", "os.remove"):
        count += 1
        if count == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
config = BuildConfig(val_percent=30, test_percent=10, shard_bytes=400_000)
build_dataset([Path(sys.argv[1])], Path(sys.argv[2]), config)
"""
# A shard is two names, its bytes and its entry, so this is in the midst of writing shards.
FIFTH = "5"


def whole_or_absent(out):
    """Tell whether there is a data set; fail if it is half of one."""
    if not (out / "index.json").exists():
        return False
    folder = DataFolder(str(out))
    verify_shards(folder, read_index(folder)[0], lambda: None)
    return True


@pytest.mark.slow
def test_killed_between_any_two_changes_of_a_name(tmp_path, make_corpus, contents):
    source, out = make_corpus(tmp_path / "audio"), tmp_path / "data"
    build_dataset([source], tmp_path / "clean", CONFIG)
    build_dataset([make_corpus(tmp_path / "older", 5, seed=900)], out, CONFIG)
    kills = 0
    for count in [1, 2, 5, 3, 4, 2, 6, 3, 4, 0]:
        command = [sys.executable, "-c", BUILD_AND_DIE, str(source), str(out), str(count)]
        status = subprocess.run(command, check=False).returncode
        whole_or_absent(out)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        kills += 1
    assert kills >= 4
    assert status == 0
    assert contents(out) == contents(tmp_path / "clean")


@pytest.mark.slow
def test_the_command_killed_at_random_moments(tmp_path, make_corpus, contents):
    source, out = make_corpus(tmp_path / "audio", 100), tmp_path / "data"
    (source / "bad.wav").write_text("no audio")
    command = [sys.executable, "-m", "nacre", "data", "build", str(source), "--jobs", "2", "--out"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(tmp_path / "clean")], check=True, capture_output=True, env=environment)
    rng = random.Random(time.time_ns())  # noqa: S311  # moments, not secrets
    for _ in range(3):
        before = journal_size(out)
        process = subprocess.Popen(
            [*command, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        while process.poll() is None and journal_size(out) == before:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.wait()
        if whole_or_absent(out):
            break
    unfinished = journal_size(out) > 0
    result = subprocess.run([*command, str(out)], check=True, capture_output=True, text=True, env=environment)
    assert ("kept from an interrupted run" in result.stdout) == unfinished
    assert contents(out) == contents(tmp_path / "clean")


def journal_size(out):
    return sum(path.stat().st_size for path in out.glob(".work/*/verdicts.jsonl"))


def test_finished_work_is_not_repeated(tmp_path, make_corpus, contents):
    source, out = make_corpus(tmp_path / "audio"), tmp_path / "data"
    build_dataset([source], tmp_path / "clean", CONFIG)
    command = [sys.executable, "-c", BUILD_AND_DIE, str(source), str(out), FIFTH]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    report = build_dataset([source], out, CONFIG)
    assert report.resumed_files == 13
    assert report.resumed_shards >= 1
    assert contents(out) == contents(tmp_path / "clean")


def test_a_torn_journal_and_a_damaged_shard_cost_only_work(tmp_path, make_corpus, contents):
    source, out = make_corpus(tmp_path / "audio"), tmp_path / "data"
    build_dataset([source], tmp_path / "clean", CONFIG)
    command = [sys.executable, "-c", BUILD_AND_DIE, str(source), str(out), FIFTH]
    subprocess.run(command, check=False)
    for journal in out.glob(".work/*/verdicts.jsonl"):
        journal.write_bytes(journal.read_bytes()[:-20])
    for shard in out.glob(".work/*/*.tar"):
        shard.write_bytes(shard.read_bytes()[:-700])
    report = build_dataset([source], out, CONFIG)
    assert report.resumed_files == 12
    assert report.resumed_shards == 0
    assert contents(out) == contents(tmp_path / "clean")


def test_a_file_that_changed_since_is_screened_again(tmp_path, make_corpus, write_noise, contents):
    source, out = make_corpus(tmp_path / "audio"), tmp_path / "data"
    command = [sys.executable, "-c", BUILD_AND_DIE, str(source), str(out), "1"]
    subprocess.run(command, check=False)
    write_noise(source / "long.wav", 4.0, seed=7)
    assert build_dataset([source], out, CONFIG).resumed_files == 12
    build_dataset([source], tmp_path / "clean", CONFIG)
    assert contents(out) == contents(tmp_path / "clean")


def test_two_builds_into_one_folder_do_not_mix(tmp_path, make_corpus):
    source, out = make_corpus(tmp_path / "audio"), tmp_path / "data"
    holder = (
        "import sys, time\nfrom pathlib import Path\nfrom data_pipelines.settings import BuildConfig\n"
        "from data_pipelines.work import open_work\n"
        "with open_work(Path(sys.argv[1]), BuildConfig()):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", holder, str(out)], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        with pytest.raises(DataError, match="another build"):
            build_dataset([source], out, CONFIG)
        process.kill()
    build_dataset([source], out, CONFIG)
    assert whole_or_absent(out)
