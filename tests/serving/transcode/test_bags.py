"""Bags: made in place whole or not at all, valid for the reference implementation, and read with distrust."""

import hashlib
import logging
import os
import subprocess
import sys

import bagit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.errors import DataError, NacreError
from serving.transcode.bags.checksums import file_checksum, write_sums
from serving.transcode.bags.names import checked_name, percent_decoded, percent_encoded
from serving.transcode.bags.read import check_bag, is_bag, read_bag
from serving.transcode.bags.write import payload_folder, write_bag

NAMES = ["a.wav.nac", "data/b.nac", "deep/er/ÿ ü.nac", "deep/line\nbreak.nac", "manifest.jsonl", "back\\slash.nac"]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def tree(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "out")


def fill(root):
    for name in NAMES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 3)
    return root


@pytest.fixture
def bag(folder):
    write_bag(folder, sources=lambda payload: [("a.wav", sha256(b"a"))])
    return folder


def reference_check(folder):
    logging.getLogger("bagit").setLevel(logging.CRITICAL)
    bagit.Bag(str(folder)).validate()


def rewrite(bag, name, change):
    """Change a tag file, and drop the manifest of tag files, which would notice it."""
    (bag / "tagmanifest-sha256.txt").unlink(missing_ok=True)
    path = bag / name
    path.write_text(change(path.read_text()))


def test_a_bag_holds_what_the_folder_held_and_both_readers_take_it(folder):
    before = tree(folder)
    write_bag(folder, sources=lambda payload: [("a.wav", sha256(b"a"))], info={"Nacre-Model-Fingerprint": "ab12"})
    assert tree(folder / "data") == before
    reference_check(folder)
    bag = check_bag(folder)
    assert [(file.name, file.size) for file in bag.files()] == sorted((name, len(before[name])) for name in before)
    info = dict(bag.info)
    assert info["Payload-Oxum"] == f"{sum(map(len, before.values()))}.{len(before)}"
    assert info["Nacre-Source-SHA256"] == file_checksum(folder / "source-sha256.txt")
    assert info["Bag-Software-Agent"].startswith("nacre ")
    assert info["Nacre-Model-Fingerprint"] == "ab12"
    assert "Bagging-Date" not in info


def test_names_with_percents_keep_to_the_standard(folder):
    (folder / "100%25.nac").write_bytes(b"x")
    write_bag(folder)
    assert "data/100%2525.nac\n" in (folder / "manifest-sha256.txt").read_text()
    assert "100%25.nac" in [file.name for file in check_bag(folder).files()]


def test_a_bag_of_an_older_draft_may_leave_percents_as_they_are(bag):
    (bag / "data" / "50%0a.nac").write_bytes(b"x")
    rewrite(bag, "manifest-sha256.txt", lambda text: f"{text}{sha256(b'x')}  data/50%0a.nac\n")
    rewrite(bag, "bag-info.txt", lambda text: "")
    assert "50%0a.nac" in [file.name for file in check_bag(bag).files()]


def test_the_same_folder_gives_the_same_bag_dated_only_if_told(folder, tmp_path, monkeypatch):
    other = fill(tmp_path / "other")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    write_bag(folder)
    write_bag(other)
    assert tree(folder) == tree(other)
    assert dict(read_bag(folder).info)["Bagging-Date"] == "1970-01-02"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    with pytest.raises(NacreError, match="SOURCE_DATE_EPOCH"):
        write_bag(fill(tmp_path / "third"))
    assert tree(tmp_path / "third") == tree(other / "data")


def test_a_bag_is_brought_up_to_date(bag, tmp_path):
    payload = payload_folder(bag)
    assert payload == bag / "data"
    (payload / "a.wav.nac").unlink()
    (payload / "new.nac").write_bytes(b"new")
    (bag / ".nacre-tmp-0000-manifest-sha256.txt").write_bytes(b"left by a kill")
    with pytest.raises(DataError, match=r"lacks 'data/a\.wav\.nac'"):
        read_bag(bag)
    write_bag(bag)
    check_bag(bag)
    reference_check(bag)
    assert not list(bag.glob(".nacre-*"))


def test_what_was_altered_since_is_not_made_a_bag(folder):
    before = tree(folder)
    with pytest.raises(NacreError, match=r"'a\.wav\.nac' was altered"):
        write_bag(folder, outputs=lambda payload: [("a.wav.nac", sha256(b"another"))])
    with pytest.raises(NacreError, match=r"'gone\.nac' is not there"):
        write_bag(folder, outputs=lambda payload: [("gone.nac", sha256(b""))])
    (folder / "deep" / "link.nac").symlink_to(folder / "a.wav.nac")
    with pytest.raises(NacreError, match=r"link\.nac"):
        write_bag(folder)
    (folder / "deep" / "link.nac").unlink()
    assert tree(folder) == before
    assert payload_folder(folder) == folder


def test_a_name_that_is_no_text_is_refused(folder):
    (folder / os.fsdecode(b"\xff.nac")).write_bytes(b"x")
    with pytest.raises(NacreError, match="UTF-8"):
        write_bag(folder)
    assert not is_bag(folder)


KILLED = """
import os, sys
from pathlib import Path
from serving.transcode.bags.write import payload_folder, write_bag

EVENTS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir")

def killed_at(step, folder):
    def count(event, arguments, left=[step]):
        if event in EVENTS or event == "open" and ".nacre-" in str(arguments):
            left[0] -= 1
            if left[0] == 0:
                os._exit(9)
    child = os.fork()
    if child == 0:
        sys.addaudithook(count)
        write_bag(folder, sources=lambda payload: [("a", "0" * 64)])
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9

def tree(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

def fill(root):
    (root / "data" / "deep").mkdir(parents=True)
    (root / "data" / "deep" / "a.nac").write_bytes(b"a")
    (root / "b.nac").write_bytes(b"b")
    return root

root = Path(sys.argv[1])
os.fsync = lambda descriptor: None  # what is killed here is a process, not the machine
write_bag(clean := fill(root / "clean"), sources=lambda payload: [("a", "0" * 64)])
step = 1
while killed_at(step, folder := fill(root / f"{step}")):
    payload = payload_folder(folder)
    assert tree(payload) == tree(clean / "data"), step
    write_bag(folder, sources=lambda payload: [("a", "0" * 64)])
    assert tree(folder) == tree(clean), step
    step += 1
assert tree(folder) == tree(clean)
print(step)
"""


def test_killed_at_every_step_it_is_a_folder_or_a_bag_and_can_be_run_again(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 15


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("data/../../etc/passwd", "outside"),
        ("/etc/passwd", "outside"),
        ("~/x", "outside"),
        ("data//x", "no file's name"),
        ("data/gone.nac", "lacks 'data/gone.nac'"),
        ("data/a.wav.nac", "a second time"),
    ],
)
def test_names_in_a_manifest_are_not_trusted(bag, line, message):
    rewrite(bag, "manifest-sha256.txt", lambda text: f"{text}{'0' * 64}  {line}\n")
    with pytest.raises(DataError, match=message):
        read_bag(bag)


def test_an_altered_file_is_found_when_it_is_checked(bag):
    path = bag / "data" / "a.wav.nac"
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(DataError, match=r"'a\.wav\.nac' of the bag is altered"):
        check_bag(bag)
    assert [file.name for file in read_bag(bag).files() if file.path != path and file.check()] == []


@pytest.mark.parametrize("name", ["bag-info.txt", "source-sha256.txt", "manifest-sha256.txt", "bagit.txt"])
def test_an_altered_tag_file_is_found(bag, name):
    with (bag / name).open("a") as file:
        file.write("\n")
    with pytest.raises(DataError, match=f"'{name}' of the bag .* is altered"):
        read_bag(bag)


def test_what_no_manifest_lists_is_refused(bag):
    (bag / "data" / "extra.nac").write_bytes(b"x")
    with pytest.raises(DataError, match=r"extra\.nac'.*doesn't list"):
        read_bag(bag)


def test_nothing_is_fetched(bag):
    (bag / "fetch.txt").write_text("\n")
    read_bag(bag)
    (bag / "fetch.txt").write_text("http://127.0.0.1/x 3 data/x\n")
    with pytest.raises(DataError, match=r"fetch\.txt.*none are fetched"):
        read_bag(bag)


def test_links_in_a_payload_are_refused(bag, tmp_path):
    outside = tmp_path / "secret"
    outside.mkdir()
    (outside / "x").write_bytes(b"x")
    target = bag / "data" / "a.wav.nac"
    target.unlink()
    target.symlink_to(outside / "x")
    with pytest.raises(DataError, match="link"):
        read_bag(bag)
    target.unlink()
    (bag / "data" / "linked").symlink_to(outside)
    with pytest.raises(DataError, match="link"):
        read_bag(bag)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("bagit.txt", "BagIt-Version: 7.0\nTag-File-Character-Encoding: UTF-8\n", "version '7.0'"),
        ("bagit.txt", "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-16\n", "only UTF-8"),
        ("bagit.txt", "nothing\n", "no label"),
        ("bag-info.txt", "Payload-Oxum: 1.1\n", "Payload-Oxum of '1.1'"),
        ("manifest-sha256.txt", "123  data/a.wav.nac\n", "not a sha256 checksum"),
    ],
)
def test_tag_files_that_make_no_sense(bag, name, text, message):
    rewrite(bag, name, lambda _: text)
    with pytest.raises(DataError, match=message):
        read_bag(bag)


def test_a_bag_by_the_reference_is_read(tmp_path):
    before = tree(fill(tmp_path / "theirs"))
    logging.getLogger("bagit").setLevel(logging.CRITICAL)
    bagit.make_bag(str(tmp_path / "theirs"), {"Contact-Name": "A\nB"}, checksums=["md5", "sha512"])
    bag = check_bag(tmp_path / "theirs")
    assert bag.payload.algorithm == "sha512"
    assert [file.name for file in bag.files()] == sorted(before)


def test_a_folder_without_a_declaration_is_no_bag(tmp_path):
    with pytest.raises(DataError, match=r"no bagit\.txt"):
        read_bag(tmp_path)


def test_lists_are_for_sha256sum(folder, tmp_path):
    names = sorted(tree(folder))
    checksum = write_sums(tmp_path / "sums.txt", [(name, file_checksum(folder / name)) for name in names])
    assert checksum == file_checksum(tmp_path / "sums.txt")
    done = subprocess.run(["sha256sum", "--strict", "-c", "../sums.txt"], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "deep" / "line\nbreak.nac").write_bytes(b"altered")
    done = subprocess.run(["sha256sum", "-c", "../sums.txt"], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 1


@given(st.text())
def test_percents_are_undone(name):
    encoded = percent_encoded(name)
    assert percent_decoded(encoded) == name
    assert not {"\n", "\r"} & set(encoded)


@given(st.lists(st.sampled_from(["data", "..", ".", "", "a", "~", "é"]), max_size=6).map("/".join))
def test_a_checked_name_stays_within(name):
    try:
        checked = checked_name(name, "it")
    except DataError:
        return
    assert os.path.normpath(f"/bag/{checked}") == f"/bag/{checked}"
