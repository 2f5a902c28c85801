"""Archives are read with distrust: what can't be used is named, what is too large is refused before it is unpacked."""

import gzip
import io
import struct
import tarfile
import tracemalloc
import zipfile

import pytest

from codec.errors import LimitError
from serving.jobs.archive import list_entries, open_members
from serving.jobs.errors import ArchiveError
from serving.jobs.limits import JobLimits

GOOD = {"a.wav": b"one", "deep/er/b.wav": b"two", "empty.wav": b""}
CODED = {f"{name}.nac": b"coded " + content for name, content in GOOD.items()}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_tars_of_every_format(service, make_tar, mode, format):
    assert service.outputs(service.run(make_tar(GOOD, mode, format))) == CODED
    if format != tarfile.USTAR_FORMAT:
        long = {f"{'x' * 200}/ä.wav": b"long"}
        assert list(service.outputs(service.run(make_tar(long, mode, format)))) == [f"{'x' * 200}/ä.wav.nac"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zips_of_every_kind(service, make_zip, compression):
    assert service.outputs(service.run(make_zip(GOOD, compression))) == CODED


def test_folders_and_clutter_are_passed_over(service, make_zip, make_tar):
    job = service.run(make_zip({"takes/": b"", "takes/a.wav": b"one", "__MACOSX/takes/._a.wav": b"x"}))
    assert job["files"] == {"total": 1, "done": 1, "failed": 0}

    def folder(info):
        info.type, info.size = tarfile.DIRTYPE, 0

    job = service.run(make_tar({"./takes": b"", "./takes/a.wav": b"one"}, **{"./takes": folder}))
    assert job["files"] == {"total": 1, "done": 1, "failed": 0}
    assert list(service.outputs(job)) == ["takes/a.wav.nac"]


HOSTILE = ["../up.wav", "a/../../up.wav", "/etc/passwd", "C:/a.wav", "..\\up.wav", "n\x01l.wav", "x" * 600]


@pytest.mark.parametrize("pack", ["make_zip", "make_tar"])
def test_names_that_leave_the_archive(service, request, pack, open_store):
    files = dict.fromkeys(HOSTILE, b"hostile") | {"good.wav": b"good"}
    job = service.run(request.getfixturevalue(pack)(files))
    assert (job["state"], job["files"]) == ("done", {"total": 8, "done": 1, "failed": 7})
    assert {failure["code"] for failure in job["failures"]} == {"bad_entry"}
    assert service.outputs(job) == {"good.wav.nac": b"coded good"}
    assert {path.name for path in service.store.folder(job["id"]).path.rglob("*")} == {"result.zip"}


def test_duplicates(service, make_tar, make_zip):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in [("a.wav", b"one"), ("./a.wav", b"two"), ("a//b.wav", b"three"), ("a/b.wav", b"four")]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    job = service.run(buffer.getvalue())
    assert service.outputs(job) == {"a.wav.nac": b"coded one", "a/b.wav.nac": b"coded three"}
    assert [failure["file"] for failure in job["failures"]] == ["a.wav", "a/b.wav"]
    job = service.run(make_zip({"a.nac": b"1", "a.wav.nac": b"2"}), operation="decode")
    assert list(service.outputs(job)) == ["a.wav"]
    assert "its output 'a.wav'" in job["failures"][0]["message"]


def test_links_devices_and_sparse_files(service, make_tar, make_zip):
    def of(type, target=""):
        def change(info):
            info.type, info.linkname, info.size = type, target, 0

        return change

    changes = {
        "symbolic": of(tarfile.SYMTYPE, "/etc/passwd"),
        "hard": of(tarfile.LNKTYPE, "good.wav"),
        "device": of(tarfile.CHRTYPE),
        "pipe": of(tarfile.FIFOTYPE),
    }
    job = service.run(make_tar(dict.fromkeys(changes, b"") | {"good.wav": b"good"}, **changes))
    assert sorted(failure["file"] for failure in job["failures"]) == sorted(changes)
    assert service.outputs(job) == {"good.wav.nac": b"coded good"}
    link = zipfile.ZipInfo("link.wav")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    job = service.run(make_zip({"good.wav": b"good", link: "/etc/passwd"}))
    assert [failure["file"] for failure in job["failures"]] == ["link.wav"]


def test_encrypted_entries_and_unbounded_methods(service, make_zip):
    data = bytearray(make_zip({"secret.wav": b"x" * 50, "good.wav": b"good"}))
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + at] |= 1
    job = service.run(bytes(data))
    assert [failure["file"] for failure in job["failures"]] == ["secret.wav"]
    assert "encrypted" in job["failures"][0]["message"]
    assert list(service.outputs(job)) == ["good.wav.nac"]
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert service.run(make_zip({"a.wav": b"x"}, method))["failures"][0]["code"] == "bad_entry"


def test_a_damaged_entry_of_a_zip_is_its_own_failure(service, make_zip):
    data = make_zip({"a.wav": b"first", "b.wav": b"second", "c.wav": b"third"}, zipfile.ZIP_STORED)
    job = service.run(data.replace(b"second", b"sEcond"))
    assert [(failure["file"], failure["code"]) for failure in job["failures"]] == [("b.wav", "bad_archive")]
    assert list(service.outputs(job)) == ["a.wav.nac", "c.wav.nac"]


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_damage_anywhere_is_found_or_harmless(tmp_path, make_zip, make_tar, kind):
    files = {f"{number}.wav": bytes([number]) * 40 for number in range(3)}
    data = make_zip(files) if kind == "zip" else make_tar(files, "w" if kind == "tar" else "w:gz")
    path, limits = tmp_path / "input", JobLimits()
    for index in range(0, len(data), max(1, len(data) // 150)):
        for changed in (data[:index], data[:index] + bytes([data[index] ^ 0xFF]) + data[index + 1 :]):
            path.write_bytes(changed)
            try:
                entries = list_entries(path, kind, limits, lambda: None)
                with open_members(path, kind, limits, lambda: None) as members:
                    for entry in entries:
                        if entry.refusal is None:
                            assert sum(map(len, members.read(entry.position, entry.size))) == entry.size
            except (ArchiveError, LimitError):
                pass


def test_a_tar_damaged_between_entries_is_no_shorter_tar(service, make_tar):
    data = bytearray(make_tar({"a.wav": b"one", "b.wav": b"two"}))
    data[1024] ^= 0xFF  # the second header
    job = service.run(bytes(data))
    assert (job["state"], job["error"]["code"], job["files"]["total"]) == ("failed", "bad_archive", 0)


@pytest.mark.parametrize("content", [b"no archive", b""])
def test_a_gzip_of_something_else(service, content):
    assert service.run(gzip.compress(content))["error"]["code"] == "bad_archive"


@pytest.mark.parametrize("pack", ["make_zip", "make_tar"])
def test_an_archive_without_files(service, request, pack):
    job = service.run(request.getfixturevalue(pack)({"folder/": b""} if pack == "make_zip" else {"__MACOSX/x": b""}))
    assert (job["state"], job["error"]["code"]) == ("failed", "bad_archive")


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz"])
def test_limits_on_entries_and_bytes(make_service, make_zip, make_tar, mode):
    def pack(files):
        return make_zip(files) if mode == "zip" else make_tar(files, mode)

    service = make_service(max_job_files=3, max_job_unpacked_bytes=100_000)
    assert service.run(pack({f"{name}.wav": b"x" for name in "abc"}))["state"] == "done"
    for files in ({f"{name}.wav": b"x" for name in "abcd"}, {"a.wav": bytes(50_001), "b.wav": bytes(50_000)}):
        job = service.run(pack(files))
        assert (job["state"], job["error"]["code"]) == ("failed", "too_large")
    assert len(service.runner._converter.seen) == 3


def test_a_bomb_is_refused_before_it_is_unpacked(service, tmp_path):
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=9) as file:
        header = tarfile.TarInfo("zeros.wav")
        header.size = 2 * 2**30
        file.write(header.tobuf())
        file.write(bytes(100 * 2**20))
    job = service.run(bomb.getvalue())
    assert job["error"]["code"] == "too_large"
    assert "times its size" in job["error"]["message"]


def tar_header(name="x", size=0, type=tarfile.REGTYPE, field=None):
    info = tarfile.TarInfo(name)
    info.type, info.size = type, size
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    if field is not None:
        header[124:136] = field
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


PAX = tarfile.XHDTYPE
NEGATIVE = b"\xff" * 11 + b"\x00"  # -256 as GNU's base 256
TARS = {
    "huge_pax_header": tar_header(size=2**31, type=PAX) + bytes(1024),
    "huge_long_name": tar_header(size=2**31, type=tarfile.GNUTYPE_LONGNAME) + bytes(1024),
    "negative_size": tar_header("a") + tar_header("b", field=NEGATIVE) + bytes(1024),
    "negative_pax_size": tar_header(field=NEGATIVE, type=PAX) + bytes(1024),
    "pax_negative_size": tar_header(size=14, type=PAX) + b"13 size=-9999\n".ljust(512, b"\0") + tar_header("a"),
    "endless_long_names": (tar_header(size=4, type=tarfile.GNUTYPE_LONGNAME) + b"name".ljust(512, b"\0")) * 4000,
    "digits": tar_header(size=60_000, type=PAX) + (b"1" * 60_000).ljust(60_416, b"\0") + tar_header("a"),
    "bad_pax": tar_header(size=6, type=PAX) + b"0 a=b\n".ljust(512, b"\0") + tar_header("a"),
    "bad_sparse": tar_header(size=60, type=PAX)
    + b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n".ljust(512, b"\0")
    + tar_header("a", 512)
    + bytes(1536),
    "cut": tar_header("a", 10_000) + bytes(600),
}


@pytest.mark.parametrize("name", TARS)
def test_headers_that_lie(tmp_path, name):
    path = tmp_path / "input"
    path.write_bytes(TARS[name])
    tracemalloc.start()
    try:
        with pytest.raises((ArchiveError, LimitError)):
            list_entries(path, "tar", JobLimits(), lambda: None)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_a_zips_directory_is_bounded(tmp_path, make_zip):
    path = tmp_path / "input"
    limits = JobLimits(max_job_files=10)
    path.write_bytes(make_zip({f"{number:0300d}": b"" for number in range(3000)}))
    with pytest.raises(LimitError, match="entries"):
        list_entries(path, "zip", limits, lambda: None)


def test_entries_that_lie_about_their_size(tmp_path, make_zip):
    data = bytearray(make_zip({"a": b"x" * 1000}))
    at = data.index(b"PK\x01\x02") + 24
    path = tmp_path / "input"
    for claimed in (10, 5000):
        data[at : at + 4] = struct.pack("<I", claimed)
        path.write_bytes(data)
        (entry,) = list_entries(path, "zip", JobLimits(), lambda: None)
        read = bytearray()
        with open_members(path, "zip", JobLimits(), lambda: None) as members, pytest.raises(ArchiveError):
            for chunk in members.read(entry.position, entry.size):
                read += chunk
        assert len(read) <= claimed
