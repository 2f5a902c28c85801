"""Sources: what they list, and that every entry opens to its own bytes, wherever it lies."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.errors import DataError
from serving.transcode.digest import content_sha256
from serving.transcode.entry import Entry
from serving.transcode.place import open_place
from serving.transcode.sources import open_source
from serving.transcode.sources.opening import HELD_BYTES, EntryOpener

FILES = {
    "a.wav": b"first",
    "deep/b.wav": b"second" * 1000,
    "deep/b.txt": "what is said: ÿ".encode(),
    "deep/b.json": b'{"speaker": 1}',
    "deep/c.flac": b"",
    "picture.png": b"no audio",
}
AUDIO = ["a.wav", "deep/b.wav", "deep/c.flac"]


def write_tar(path, files, mode="w", format=tarfile.PAX_FORMAT):
    with tarfile.open(path, mode, format=format) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_600_000_000
            tar.addfile(info, io.BytesIO(data))
    return path


def write_zip(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 9, 13, 12, 26, 40)), data, method)
    return path


def write_folder(path, files):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def write_memory(path, files):
    file_system = fsspec.filesystem("memory")
    for name, data in files.items():
        file_system.pipe(f"/{path.name}-{id(path)}/{name}", data)
    return f"memory://{path.name}-{id(path)}"


MAKERS = {
    "folder": write_folder,
    "tar": write_tar,
    "gnu tar": lambda path, files: write_tar(path, files, format=tarfile.GNU_FORMAT),
    "tar.gz": lambda path, files: write_tar(path, files, "w:gz"),
    "zip": write_zip,
    "stored zip": lambda path, files: write_zip(path, files, zipfile.ZIP_STORED),
    "url": write_memory,
}


def content(opener, entry):
    with opener.opened(entry) as file:
        content_sha256(file, entry.checksum)
        return file.read_bytes() if isinstance(file, Path) else file.read()


@pytest.fixture
def opener(tmp_path):
    with EntryOpener(tmp_path / "scratch") as opener:
        yield opener


@pytest.mark.parametrize("kind", MAKERS)
def test_every_entry_opens_to_its_bytes_and_notes(kind, tmp_path, opener):
    source = open_source(str(MAKERS[kind](tmp_path / "source", FILES)))
    entries = {entry.name: entry for entry in source.entries()}
    assert [name for name in entries if Path(name).suffix in (".wav", ".flac")] == AUDIO
    assert list(source.entries()) == list(entries.values())
    for name in AUDIO:
        assert content(opener, entries[name]) == FILES[name]
        assert entries[name].size == len(FILES[name])
    with opener.opened_with_notes(entries["deep/b.wav"]) as (_, notes):
        assert notes == {"txt": "what is said: ÿ", "json": '{"speaker": 1}'}
    assert content(opener, entries["a.wav"]) == FILES["a.wav"]
    assert not list((tmp_path / "scratch").glob("*"))


@pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind != "url"])
def test_times_are_those_of_the_source(kind, tmp_path):
    path = MAKERS[kind](tmp_path / "source", FILES)
    (entry, *_) = open_source(str(path)).entries()
    expected = (path / "a.wav").stat().st_mtime_ns if kind == "folder" else 1_600_000_000 * 10**9
    assert entry.mtime_ns == expected


@given(st.dictionaries(st.sampled_from(["a", "b", "c/d", "c/e"]), st.binary(max_size=2000), min_size=1), st.data())
def test_entries_open_in_any_order(tmp_path_factory, files, data):
    folder = tmp_path_factory.mktemp("any")
    kind = data.draw(st.sampled_from(["tar", "tar.gz", "zip", "stored zip"]))
    files = {f"{name}.wav": content for name, content in files.items()}
    entries = list(open_source(str(MAKERS[kind](folder / "source", files))).entries())
    with EntryOpener(folder / "scratch") as opener:
        for entry in data.draw(st.permutations(entries)):
            assert content(opener, Entry.from_json(entry.to_json())) == files[entry.name]


def test_what_is_large_or_of_ffmpegs_formats_is_a_file_in_scratch(tmp_path, opener):
    files = {"large.wav": bytes(HELD_BYTES + 1), "told by its name.aac": b"aac"}
    for entry in open_source(str(write_zip(tmp_path / "a.zip", files))).entries():
        with opener.opened(entry) as file:
            assert file.parent == tmp_path / "scratch"
            assert file.suffix == Path(entry.name).suffix
            assert file.read_bytes() == files[entry.name]
    assert not list((tmp_path / "scratch").glob("*"))


def test_a_folder_is_listed_in_order_of_whole_names_without_states(tmp_path):
    names = ["a.wav", "a/x.wav", "a-b/y.wav", "b/c/d.wav", "b.wav"]
    write_folder(tmp_path, dict.fromkeys([*names, ".nacre/z.wav", "b/.nacre-tmp-1-e.wav"], b""))
    assert [entry.name for entry in open_source(str(tmp_path)).entries()] == sorted(names)


def test_unsafe_names_links_and_devices_are_refused_one_by_one(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"good.wav": b"1", "../up.wav": b"2", "/root.wav": b"3"})
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("link.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    refused = {entry.name: entry.refusal is not None for entry in open_source(str(path)).entries()}
    assert refused == {"good.wav": False, "../up.wav": True, "/root.wav": True, "link.wav": True}


def test_encrypted_and_strangely_packed_zip_entries_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.wav": b"1" * 100}, zipfile.ZIP_BZIP2)
    (entry,) = open_source(str(path)).entries()
    assert "method" in entry.refusal


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip", "stored zip"])
@pytest.mark.parametrize("at", [0.3, 0.6, 0.95])
def test_a_damaged_archive_is_refused_or_its_damaged_entries_are(kind, at, tmp_path, opener):
    files = {f"{index}.wav": bytes(range(256)) * 20 for index in range(8)}
    path = MAKERS[kind](tmp_path / "source", files)
    data = bytearray(path.read_bytes())
    start = int(at * len(data))
    data[start : start + 40] = b"\xa5" * 40
    path.write_bytes(data)
    try:
        entries = list(open_source(str(path)).entries())
    except DataError:
        return
    for entry in entries:
        try:
            found = content(opener, entry)
        except DataError:
            continue
        assert kind == "tar" or found == files[entry.name]  # a tar has no checksums of content


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_an_archive_cut_short_is_refused(kind, tmp_path, opener):
    path = MAKERS[kind](tmp_path / "source", {f"{index}.wav": bytes(3000) for index in range(8)})
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 2])
    with pytest.raises(DataError):
        [content(opener, entry) for entry in open_source(str(path)).entries()]


def test_a_tar_header_that_claims_much_is_refused(tmp_path):
    info = tarfile.TarInfo("a.wav")
    info.type, info.size = tarfile.XHDTYPE, 2**33
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(DataError, match="claims"):
        list(open_source(str(tmp_path / "a.tar")).entries())


def test_shards_are_told_from_archives_by_what_lies_beside_them(tmp_path, opener):
    for number in range(2):
        write_tar(tmp_path / f"train-{number}.tar", {"k.wav": b"%d" % number, "k.json": b"{}"})
    for text in (str(tmp_path), str(tmp_path / "train-*.tar"), f"file://{tmp_path}/train-*.tar"):
        source = open_source(text)
        entries = list(source.entries())
        assert [entry.name for entry in entries] == ["train-0/k.wav", "train-1/k.wav"]
        assert [content(opener, entry) for entry in entries] == [b"0", b"1"]
        assert len({source.group(entry) for entry in entries}) == 2
    (tmp_path / "a.wav").write_bytes(b"")
    assert [entry.name for entry in open_source(str(tmp_path)).entries() if entry.name.endswith("wav")] == ["a.wav"]


def test_two_shards_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_tar(tmp_path / folder / "s.tar", {"k.wav": b""})
    with pytest.raises(DataError, match="two shards"):
        list(open_source(str(tmp_path / "*" / "s.tar")).entries())


@pytest.mark.parametrize("text", ["nowhere", "nowhere/*.tar", "memory://nowhere", "nonsense://there"])
def test_what_is_not_there_is_one_sentence(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError):
        list(open_source(text).entries())


def test_a_wrong_checksum_is_refused():
    with pytest.raises(DataError, match="crc32"):
        content_sha256(io.BytesIO(b"a"), "crc32:00000000")
    with pytest.raises(DataError, match="md5"):
        content_sha256(io.BytesIO(b"a"), "md5:00")
    assert content_sha256(io.BytesIO(b"a"), "crc32:E8B7BE43") == content_sha256(io.BytesIO(b"a"))


@pytest.mark.parametrize("kind", ["folder", "url"])
def test_places_hold_files_whole_or_not_at_all(kind, tmp_path):
    place = open_place(str(tmp_path / "out") if kind == "folder" else f"memory://place-{id(tmp_path)}")
    with place.writing("deep/a", tmp_path / "scratch") as path:
        path.write_bytes(b"abc")
    with pytest.raises(ZeroDivisionError), place.writing("deep/b", tmp_path / "scratch") as path:
        path.write_bytes(b"half")
        raise ZeroDivisionError
    with place.writing(".nacre/c", tmp_path / "scratch") as path:
        path.write_bytes(b"")
    assert dict(place.sizes(skip=".nacre")) == {"deep/a": 3}
    assert dict(place.sizes(under=".nacre")) == {".nacre/c": 0}
    assert dict(place.sizes(under="none")) == {}
    assert (place.read("deep/a"), place.size("deep/a"), place.size("deep/b")) == (b"abc", 3, None)
    place.remove(".nacre")
    place.remove("none")
    assert dict(place.sizes()) == {"deep/a": 3}
    assert not list((tmp_path / "scratch").glob("*"))


def test_gzip_that_is_no_tar_is_refused(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(b"no tar" * 1000))
    with pytest.raises(DataError):
        list(open_source(str(tmp_path / "a.tar.gz")).entries())
