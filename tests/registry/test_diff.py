"""What differs between two versions, and nothing of what doesn't."""

import dataclasses
import json

import pytest

from codec.model import Codec
from codec.weights import write_package


@pytest.fixture
def other_package(tiny_codec, tmp_path):
    """A package with another name in its configuration, other metrics and another lineage."""
    codec = Codec(dataclasses.replace(tiny_codec.config, name="other"))
    codec.load_state_dict(tiny_codec.state_dict())
    metrics = {"mel_distance": 1.25, "si_sdr_db": 4.0, "per_kind": {"speech": {"pesq": 2.5}}}
    lineage = {"run": "a", "data": {"index_sha256": "1" * 64}, "steps": 20, "parent": "speech:1"}
    write_package(tmp_path / "other", codec, metrics=metrics, lineage=lineage)
    return tmp_path / "other"


@pytest.fixture
def two_models(models, make_package, other_package):
    models.register(make_package(), "speech")
    models.register(other_package, "speech")
    return models


def difference(run, *references):
    return json.loads(run("diff", *references, "--json").stdout)


def test_what_differs_is_told_part_by_part_and_what_is_equal_left_out(run, two_models):
    found = difference(run, "speech:1", "speech:2")
    files = found.pop("files")
    assert found == {
        "a": "speech:1",
        "b": "speech:2",
        "codec": {"name": ["tiny", "other"]},
        "metrics": {"si_sdr_db": [3.5, 4.0], "per_kind.speech.pesq": [None, 2.5]},
        "lineage": {"data.index_sha256": ["0" * 64, "1" * 64], "steps": [10, 20], "parent": [None, "speech:1"]},
    }
    folders = [two_models.show(f"speech:{number}").directory for number in (1, 2)]
    assert files["codec.json.bytes"] == [(folder / "codec.json").stat().st_size for folder in folders]
    assert "model.safetensors.sha256" not in files
    assert {"codec.json.sha256", "metrics.json.sha256", "lineage.json.sha256"} <= files.keys()


def test_tables_are_tab_separated_off_a_terminal(run, two_models):
    lines = run("diff", "speech:1", "speech:2").stdout.splitlines()
    assert [line for line in lines if line.startswith("# ")] == ["# codec", "# metrics", "# lineage", "# files"]
    at = lines.index("# metrics")
    assert lines[at + 1 : at + 4] == [
        "key\tspeech:1\tspeech:2",
        "per_kind.speech.pesq\t-\t2.5",
        "si_sdr_db\t3.5\t4.0",
    ]


def test_the_order_of_the_two_is_that_of_the_arguments(run, two_models):
    two_models.promote("speech:2", "production")
    two_models.promote("speech:1", "candidate")
    found = difference(run, "speech", "speech@candidate")
    assert (found["a"], found["b"], found["lineage"]["steps"]) == ("speech:2", "speech:1", [20, 10])


def test_reports_are_compared_by_their_number_and_the_newest(run, two_models, make_package, make_report, other_package):
    assert "reports" not in difference(run, "speech:1", "speech:2")
    two_models.attach("speech:2", make_report(other_package, "first"))
    newest = two_models.attach("speech:2", make_report(other_package, "second", uses=["music: ViSQOL 4.1"])).report
    assert difference(run, "speech:1", "speech:2")["reports"] == {
        "count": [0, 2],
        "newest.attached": [None, newest.attached],
        "newest.card": [None, str(newest.card)],
        "newest.evaluated on": [None, "music: ViSQOL 4.1"],
    }


def test_a_version_differs_from_itself_in_nothing(run, two_models):
    assert run("diff", "speech:1", "speech:1").stdout == "speech:1 and speech:1 differ in nothing\n"
    assert difference(run, "speech:1", "speech:1") == {"a": "speech:1", "b": "speech:1"}


def test_a_damaged_or_unknown_version_is_refused(run, two_models):
    assert run("diff", "speech:1", "speech:9").error.startswith("nacre: no version 9 of 'speech'")
    (two_models.show("speech:2").directory / "codec.json").write_text("{}")
    outcome = run("diff", "speech:1", "speech:2")
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.error.startswith("nacre: speech:2 is damaged")
