"""`nacre audio fetch` end to end, offline: tiny Debian packages and an apt-get that copies them."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile

import pytest
import soundfile
from click.testing import CliRunner

from codec.audio import read_audio
from codec.errors import DataError
from data_pipelines.fetch_commands import audio
from data_pipelines.pool import POOL, select

pytestmark = pytest.mark.needs_tool("dpkg-deb")

FAKE_APT = """#!/bin/sh
for last; do :; done
name=${last%%=*}
deb=$(ls "$FAKE_POOL/${name}"_*.deb 2>/dev/null)
[ -n "$deb" ] || { echo "E: Unable to locate package $name" >&2; exit 100; }
file=$(basename "$deb")
case "$*" in *--print-uris*) echo "'http://mirror/$file' $file $(stat -c %s "$deb") SHA256:0"; exit 0;; esac
echo "$name" >> "$FAKE_POOL/downloads.log"
if [ -e "$FAKE_POOL/offline" ]; then
    head -c 100 "$deb" > "$file"
    echo "E: Failed to fetch http://mirror/$file  Could not connect" >&2
    exit 100
fi
[ ! -e "$FAKE_POOL/hang-$name" ] || { head -c 100 "$deb" > "$file"; exec sleep 60; }
cp "$deb" "$file"
"""
SPEECH = "festvox-ru"
CLICKS = "bucklespring-data"
MUSIC = "nexuiz-music"
SPOKEN_ENGLISH = "asterisk-core-sounds-en-g722"
ROOTS = {each.name: each.root for each in POOL}


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """An archive of packages: the folder that the fake apt-get serves."""
    pool = tmp_path / "archive"
    tools = tmp_path / "tools"
    pool.mkdir()
    tools.mkdir()
    (tools / "apt-get").write_text(FAKE_APT)
    (tools / "apt-get").chmod(0o755)
    monkeypatch.setenv("FAKE_POOL", str(pool))
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    return pool


@pytest.fixture
def make_package(archive, tmp_path):
    """Build a package whose files a function writes below the root that the pool names."""

    def make(name, write, with_copyright=True):
        tree = tmp_path / "trees" / name
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text(
            f"Package: {name}\nVersion: 1:2.0-1\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: test\n"
        )
        if with_copyright:
            notice = tree / "usr/share/doc" / name / "copyright"
            notice.parent.mkdir(parents=True)
            notice.write_text(f"the licence of {name}\n")
        root = tree / ROOTS[name]
        root.mkdir(parents=True)
        write(root)
        target = archive / f"{name}_1%3a2.0-1_all.deb"
        subprocess.run(["dpkg-deb", "-Znone", "--build", str(tree), str(target)], check=True, capture_output=True)

    return make


@pytest.fixture
def two_packages(make_package, write_noise):
    """A package of sentences and one of short clicks."""

    def sentences(root):
        for number in range(3):
            write_noise(root / f"ru_{number}.wav", 1.0, seed=number)
        (root / "notes.txt").write_text("no audio")

    def clicks(root):
        for number in range(4):
            write_noise(root / f"{number:02d}.wav", 0.5, sample_rate=44100, seed=10 + number)
        (root / "99.wav").write_bytes((root / "00.wav").read_bytes())

    make_package(SPEECH, sentences)
    make_package(CLICKS, clicks)


def run(*arguments):
    return CliRunner().invoke(audio, ["fetch", *map(str, arguments)])


def options(*names):
    return [word for name in names for word in ("--package", name)]


def downloads(archive):
    return (archive / "downloads.log").read_text().split()


def audio_names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in {".wav", ".flac"})


def test_packages_become_folders_with_licences(two_packages, tmp_path):
    pool = tmp_path / "pool"
    result = run(pool, *options(SPEECH, CLICKS))
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in pool.iterdir()) == [
        "LICENCES.md",
        CLICKS,
        SPEECH,
        "licences.json",
    ]
    assert audio_names(pool / SPEECH) == ["ru_0.wav", "ru_1.wav", "ru_2.wav"]
    assert (pool / SPEECH / "copyright").read_text() == f"the licence of {SPEECH}\n"
    records = {record["name"]: record for record in json.loads((pool / "licences.json").read_text())}
    assert records[SPEECH]["version"] == "1:2.0-1"
    assert records[SPEECH]["licence"] == "BSD-like"
    assert records[SPEECH]["seconds"] == 3.0
    assert f"[copyright]({CLICKS}/copyright)" in (pool / "LICENCES.md").read_text()


def test_short_prompts_are_joined_without_repeats(two_packages, tmp_path):
    run(tmp_path / "pool", *options(CLICKS))
    folder = tmp_path / "pool" / CLICKS
    assert audio_names(folder) == ["joined/voice-44100-0000.flac"]
    assert read_audio(folder / "joined/voice-44100-0000.flac").seconds == 2.0
    parts = json.loads((folder / "joined.json").read_text())["joined/voice-44100-0000.flac"]
    assert [part["file"] for part in parts] == ["00.wav", "01.wav", "02.wav", "03.wav"]
    assert [part["offset_samples"] for part in parts] == [0, 22050, 44100, 66150]


def test_finished_packages_are_not_downloaded_again(archive, two_packages, tmp_path):
    run(tmp_path / "pool", *options(SPEECH))
    result = run(tmp_path / "pool", *options(SPEECH, CLICKS))
    assert result.exit_code == 0
    assert f"there already: {SPEECH}" in result.output
    assert downloads(archive) == [SPEECH, CLICKS]


def test_a_killed_fetch_leaves_no_half_folder_and_continues(archive, two_packages, tmp_path):
    pool = tmp_path / "pool"
    (archive / f"hang-{CLICKS}").touch()
    process = subprocess.Popen(
        [sys.executable, "-m", "nacre", "audio", "fetch", str(pool), *options(SPEECH, CLICKS)],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not list(pool.glob(f".fetch/downloads/{CLICKS}*")) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert list(pool.glob(f".fetch/downloads/{CLICKS}*")), "the fetch never came to its second package"
    assert audio_names(pool / SPEECH) == ["ru_0.wav", "ru_1.wav", "ru_2.wav"]
    assert not (pool / CLICKS).exists()
    (archive / f"hang-{CLICKS}").unlink()
    (pool / ".fetch" / "staging" / CLICKS).mkdir(parents=True)
    (pool / ".fetch" / "staging" / CLICKS / "half.wav").write_bytes(b"RIFF")
    assert run(pool, *options(SPEECH, CLICKS)).exit_code == 0
    assert audio_names(pool / CLICKS) == ["joined/voice-44100-0000.flac"]
    assert not (pool / ".fetch").exists()
    assert downloads(archive) == [SPEECH, CLICKS, CLICKS]


def test_a_failing_network_is_told_and_the_rest_is_kept(archive, two_packages, tmp_path):
    pool = tmp_path / "pool"
    run(pool, *options(SPEECH))
    (archive / "offline").touch()
    result = run(pool, *options(SPEECH, CLICKS))
    assert isinstance(result.exception, DataError)
    assert f"downloading {CLICKS} failed: Failed to fetch" in str(result.exception)
    assert "run the same command again" in str(result.exception)
    assert (pool / SPEECH / "package.json").is_file()
    (archive / "offline").unlink()
    assert run(pool, *options(SPEECH, CLICKS)).exit_code == 0


def test_an_unknown_package_names_apt_get_update_and_stops_no_other(two_packages, tmp_path):
    result = run(tmp_path / "pool", *options(SPEECH, MUSIC))
    assert isinstance(result.exception, DataError)
    assert MUSIC in str(result.exception)
    assert "apt-get update" in str(result.exception)
    assert (tmp_path / "pool" / SPEECH / "package.json").is_file()


def test_archives_inside_packages_are_unpacked(make_package, tmp_path, write_noise):
    def write(root):
        write_noise(tmp_path / "track.wav", 1.0)
        samples, sample_rate = soundfile.read(tmp_path / "track.wav")
        soundfile.write(tmp_path / "track.ogg", samples, sample_rate)
        with zipfile.ZipFile(root / "music.pk3", "w") as archive:
            archive.write(tmp_path / "track.ogg", "sound/cdtracks/track.ogg")
            archive.writestr("sound/readme.txt", "no audio")

    make_package(MUSIC, write)
    assert run(tmp_path / "pool", *options(MUSIC)).exit_code == 0
    folder = tmp_path / "pool" / MUSIC
    assert sorted(path.name for path in folder.iterdir()) == ["copyright", "package.json", "sound"]
    assert read_audio(folder / "sound/cdtracks/track.ogg").seconds == 1.0


def test_an_archive_that_leaves_its_folder_is_refused(make_package, tmp_path):
    def write(root):
        with zipfile.ZipFile(root / "music.pk3", "w") as archive:
            archive.writestr("sound/../../../../escaped.ogg", b"OggS")

    make_package(MUSIC, write)
    result = run(tmp_path / "pool", *options(MUSIC))
    assert isinstance(result.exception, DataError)
    assert "leaves its folder" in str(result.exception)
    assert not (tmp_path / "pool" / MUSIC).exists()
    assert not list(tmp_path.rglob("escaped.ogg"))


def test_a_package_without_its_licence_is_refused(make_package, tmp_path, write_noise):
    make_package(SPEECH, lambda root: write_noise(root / "a.wav"), with_copyright=False)
    result = run(tmp_path / "pool", *options(SPEECH))
    assert "no copyright file" in str(result.exception)
    assert not (tmp_path / "pool" / SPEECH).exists()


def test_a_damaged_package_is_told(archive, tmp_path):
    (archive / f"{SPEECH}_1_all.deb").write_bytes(b"!<arch>\n" + bytes(1000))
    result = run(tmp_path / "pool", *options(SPEECH))
    assert isinstance(result.exception, DataError)
    assert not (tmp_path / "pool" / SPEECH).exists()


def test_a_folder_that_no_fetch_made_is_left_alone(two_packages, tmp_path):
    mine = tmp_path / "pool" / SPEECH / "mine.wav"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    result = run(tmp_path / "pool", *options(SPEECH))
    assert "was not made by a fetch" in str(result.exception)
    assert mine.read_bytes() == b"mine"


@pytest.mark.needs_tool("ffmpeg")
def test_g722_prompts_are_decoded_joined_and_chosen(make_package, tmp_path, write_noise):
    def write(root):
        write_noise(tmp_path / "prompt.wav", 1.0)
        for name in ("agent-pass", "beep", "silence/1", "tt-monkeys", "digits/1"):
            target = root / f"{name}.g722"
            target.parent.mkdir(exist_ok=True)
            command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "prompt.wav"), "-f", "g722", str(target)]
            subprocess.run(command, check=True)
            with target.open("ab") as file:  # each its own recording
                file.write(name.encode())

    make_package(SPOKEN_ENGLISH, write)
    result = run(tmp_path / "pool", *options(SPOKEN_ENGLISH))
    assert result.exit_code == 0, result.exception
    folder = tmp_path / "pool" / SPOKEN_ENGLISH
    parts = json.loads((folder / "joined.json").read_text())["joined/voice-16000-0000.flac"]
    assert [part["file"] for part in parts] == ["agent-pass.flac", "digits/1.flac"]
    joined = read_audio(folder / "joined/voice-16000-0000.flac")
    assert joined.sample_rate == 16000
    assert 2.0 <= joined.seconds < 2.01


def test_without_apt_it_says_what_it_needs(tmp_path):
    answer = subprocess.run(
        [sys.executable, "-m", "nacre", "audio", "fetch", str(tmp_path / "pool"), "--package", SPEECH],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith("nacre: ")
    assert len(answer.stderr.splitlines()) == 1
    assert "apt-get and dpkg-deb" in answer.stderr
    assert not (tmp_path / "pool").exists()


def test_the_list_needs_no_apt(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run("--list", "--kind", "speech")
    assert result.exit_code == 0
    assert SPEECH in result.output
    assert "BSD-like" in result.output
    assert MUSIC not in result.output


def test_an_unknown_name_is_a_usage_error():
    assert run("--package", "no-such-package").exit_code == 2


def test_the_second_list_is_only_for_those_who_ask():
    core, everything = select(), select(extended=True)
    assert {each.name for each in core} < {each.name for each in everything} == {each.name for each in POOL}
    assert [each.name for each in select(names=("naev-data",))] == ["naev-data"]
    assert {each.kind for each in select(kinds=("music", "sound"))} == {"music", "sound"}
