"""Reports beside versions: about that package alone, whole, and only ever added."""

import json

import pytest

from codec.errors import RegistryError, UnknownModelError
from registry.storage import report_store


@pytest.fixture
def package(make_package, models):
    package = make_package()
    models.register(package, "speech")
    return package


def test_a_report_is_kept_with_its_version_and_outside_its_package(models, package, make_report):
    before = models.show("speech:1")
    folder = make_report(package)
    attached = models.attach("speech:1", folder, note="spring")
    assert attached.is_new
    (report,) = models.reports(before)
    assert report == attached.report
    assert (report.version, report.note) == ("speech:1", "spring")
    assert report.attached_by
    assert report.attached.endswith("+00:00")
    kept = {path.name for path in report.directory.iterdir()}
    assert kept == {"card-speech-1.json", "card-speech-1.md", "summary.json", "curves_pesq.png"}
    assert report.card.read_text() == (folder / "card-speech-1.md").read_text()
    assert models.resolve("speech:1") == before
    assert not report.directory.is_relative_to(before.directory)


def test_reports_are_only_ever_added(models, package, make_report):
    first = models.attach("speech:1", make_report(package)).report
    later = models.attach("speech:1", make_report(package, "later", uses=["music: ViSQOL audio 4.1 at 6 kbps"])).report
    assert models.reports(models.show("speech:1")) == (first, later)
    again = models.attach("speech:1", make_report(package, "again"), note="once more")
    assert (again.is_new, again.report) == (False, first)
    assert sorted(first.directory.parent.iterdir()) == sorted([first.directory, later.directory])


def test_a_report_about_another_package_is_refused(models, package, make_package, make_report):
    with pytest.raises(RegistryError, match=r"is about other packages \(card-speech-1\.md\)"):
        models.attach("speech:1", make_report(make_package("other")))
    assert models.reports(models.show("speech:1")) == ()


def test_of_several_cards_the_version_s_own_is_kept(models, package, make_package, make_report):
    folder = make_report(package)
    (folder / "card-a.json").write_bytes((make_report(make_package("b"), "b") / "card-speech-1.json").read_bytes())
    assert "card-a.json" not in models.attach("speech:1", folder).report.hashes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "is no model card: its format is another"),
        ({"files": ["../secret"]}, "'../secret' is no name of a file beside it"),
        ({"card": ".hidden"}, "'.hidden' is no name of a file beside it"),
        ({"files": ["gone.png"]}, "lacks gone.png: evaluate again"),
        ({"files": "summary.json"}, "is no model card"),
        ({"files": ["a"] * 64}, "a list of at most 63"),
        ({"uses": ["speech\x1b[2J"]}, "printable characters"),
        ({"uses": ["x" * 301]}, "lines of 1 to 300"),
        ({"uses": [1]}, "printable characters"),
    ],
)
def test_a_damaged_card_is_refused(models, package, make_report, changes, message):
    with pytest.raises(RegistryError, match=message.replace(".", r"\.")) as caught:
        models.attach("speech:1", make_report(package, **changes))
    assert "\n" not in str(caught.value)
    assert models.reports(models.show("speech:1")) == ()


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, json.dumps({"format": "nacre-model-card", "version": 2})])
def test_what_is_no_card_is_refused(models, package, tmp_path, text):
    (tmp_path / "card-x.json").write_text(text)
    with pytest.raises(RegistryError, match=r"card-x\.json' is no model card"):
        models.attach("speech:1", tmp_path)


def test_a_folder_without_a_card_and_an_unknown_version_are_refused(models, package, tmp_path, make_report):
    with pytest.raises(RegistryError, match="has no model card"):
        models.attach("speech:1", tmp_path / "nowhere")
    with pytest.raises(UnknownModelError, match="no version 2"):
        models.attach("speech:2", make_report(package))


def test_a_report_that_is_too_large_is_refused(models, package, make_report, monkeypatch):
    monkeypatch.setattr(report_store, "MAX_REPORT_BYTES", 100)
    with pytest.raises(RegistryError, match="at most 100 are kept"):
        models.attach("speech:1", make_report(package))


def test_a_missing_file_of_a_report_is_found(models, package, make_report):
    report = models.attach("speech:1", make_report(package)).report
    (report.directory / "summary.json").unlink()
    with pytest.raises(RegistryError, match=r"a report of speech:1 is damaged: .*summary\.json' can't be read"):
        models.verify(models.show("speech:1"))
    (result,) = models.verify_all()
    assert "summary.json" in result.problem
