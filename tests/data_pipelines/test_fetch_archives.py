"""Archives that are not to be trusted, and what is taken of them."""

import io
import tarfile
import zipfile

import pytest

from codec.errors import DataError
from data_pipelines.archives import Extractor


def make_tar(*members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            member.size = len(content)
            member.mode = 0o4777
            member.linkname = "/etc/passwd" if kind != tarfile.REGTYPE else ""
            archive.addfile(member, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def make_zip(path, content):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def extractor(tmp_path):
    return Extractor(target=tmp_path / "target", max_member_bytes=1000, max_total_bytes=1500)


def test_only_chosen_plain_files_are_written(extractor):
    stream = make_tar(
        ("./a/kept.ogg", tarfile.REGTYPE, b"kept"),
        ("./a/left.txt", tarfile.REGTYPE, b"left"),
        ("./a/link.ogg", tarfile.SYMTYPE, b""),
        ("./a/hard.ogg", tarfile.LNKTYPE, b""),
    )
    extractor.extract_tar(stream, lambda name: name if name.endswith(".ogg") else None)
    written = [path for path in extractor.target.rglob("*") if path.is_file()]
    assert [path.relative_to(extractor.target).as_posix() for path in written] == ["a/kept.ogg"]
    assert written[0].read_bytes() == b"kept"
    assert written[0].stat().st_mode & 0o6111 == 0


@pytest.mark.parametrize("name", ["../escaped", "a/../../escaped", "/escaped", "a\\..\\escaped"])
def test_names_that_leave_the_folder_are_refused(extractor, tmp_path, name):
    with pytest.raises(DataError, match="leaves its folder"):
        extractor.extract_tar(make_tar((name, tarfile.REGTYPE, b"x")), lambda name: name)
    with pytest.raises(DataError, match="leaves its folder"):
        extractor.extract_zip(make_zip(tmp_path / "a.pk3", {name: b"x"}), lambda name: name)
    assert not list(tmp_path.rglob("escaped"))


def test_sizes_are_limited_whatever_the_archive_says(extractor, tmp_path):
    with pytest.raises(DataError, match="larger than allowed"):
        extractor.extract_zip(make_zip(tmp_path / "bomb.pk3", {"a.ogg": bytes(100_000)}), lambda name: name)
    assert sum(path.stat().st_size for path in extractor.target.rglob("*") if path.is_file()) <= 1000


def test_the_total_is_limited(extractor):
    stream = make_tar(*((f"{number}.ogg", tarfile.REGTYPE, bytes(800)) for number in range(2)))
    with pytest.raises(DataError, match="larger than allowed"):
        extractor.extract_tar(stream, lambda name: name)


def test_damaged_archives_are_told(extractor, tmp_path):
    (tmp_path / "no.pk3").write_bytes(b"no zip")
    with pytest.raises(DataError, match="can't be read as a zip"):
        extractor.extract_zip(tmp_path / "no.pk3", lambda name: name)
    cut = make_tar(("a.ogg", tarfile.REGTYPE, bytes(900))).getvalue()[:700]
    with pytest.raises(DataError, match="can't be read"):
        extractor.extract_tar(io.BytesIO(cut), lambda name: name)
