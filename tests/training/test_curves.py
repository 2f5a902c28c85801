import json
import struct

import pytest
from click.testing import CliRunner

from codec.errors import RunError
from nacre import cli
from training.curves import Series, draw_curves, panel_and_line, read_series
from training.loggers import JsonLinesLogger
from training.run import Run


@pytest.fixture
def make_run(tmp_path):
    """Return a function that makes a run with these lines in its metrics file."""

    def make(name, *lines, tail=""):
        run = Run(tmp_path / name)
        run.directory.mkdir(parents=True)
        run.config.write_text("{}")
        run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)
        return run

    return make


LINES = (
    {"step": 4, "train/gen/loss": 3.0, "train/codebook/perplexity_0": 9.0, "train/codebook/perplexity_10": 7.0},
    {"step": 9, "train/gen/loss": 2.0, "train/disc/loss": None},
    {"step": 10, "val/mel_distance": 1.5, "val/1.5kbps/mel_distance": 2.5},
)


def size(picture):
    """Return the width and height in the header of a PNG."""
    data = picture.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def test_values_are_read_by_name(make_run):
    series = read_series(make_run("run", *LINES))
    assert series == {
        "train/gen/loss": Series((4, 9), (3.0, 2.0)),
        "train/codebook/perplexity_0": Series((4,), (9.0,)),
        "train/codebook/perplexity_10": Series((4,), (7.0,)),
        "val/mel_distance": Series((10,), (1.5,)),
        "val/1.5kbps/mel_distance": Series((10,), (2.5,)),
    }


def test_of_a_step_logged_twice_after_a_resume_the_last_counts(make_run):
    steps = [(4, 3.0), (9, 2.0), (14, 1.0), (9, 2.5), (14, None)]
    run = make_run("run", *({"step": step, "train/gen/loss": value} for step, value in steps))
    assert read_series(run) == {"train/gen/loss": Series((4, 9), (3.0, 2.5))}


def test_a_line_torn_by_kill_is_left_out_and_cut_off_by_the_resumed_run(make_run):
    run = make_run("run", *LINES, tail='{"step": 14, "train/gen/lo')
    whole = read_series(make_run("whole", *LINES))
    assert read_series(run) == whole
    logger = JsonLinesLogger(run.metrics)
    logger.log_metrics({"train/gen/loss": 1.0}, step=14)
    logger.log_metrics({"train/gen/loss": 0.5}, step=19)
    assert read_series(run)["train/gen/loss"] == Series((4, 9, 14, 19), (3.0, 2.0, 1.0, 0.5))


@pytest.mark.parametrize("line", ["nonsense", "[1]", '{"train/gen/loss": 1}', '{"step": 1, "x": "y"}', '{"step": 1.5}'])
def test_a_damaged_line_is_named(make_run, line):
    run = make_run("run", *LINES, tail=f'{line}\n{{"step": 14, "x": 1}}\n')
    with pytest.raises(RunError, match=r"metrics.jsonl' is damaged: line 4 is"):
        read_series(run)


@pytest.mark.parametrize("lines", [(), ({"step": 1, "x": None},)])
def test_a_run_that_has_logged_nothing_is_refused(make_run, lines):
    with pytest.raises(RunError, match="holds no values yet"):
        read_series(make_run("run", *lines))
    run = make_run("other")
    run.metrics.unlink()
    with pytest.raises(RunError, match="has logged nothing yet"):
        read_series(run)


@pytest.mark.parametrize(
    "name, place",
    [
        ("train/gen/loss", ("train/gen/loss", "")),
        ("train/codebook/dead_share_11", ("train/codebook/dead_share", "codebook 11")),
        ("val/stoi", ("val/stoi", "all bits")),
        ("val/1.5kbps/stoi", ("val/stoi", "1.5kbps")),
        ("val/bypass/stoi", ("val/stoi", "bypass")),
    ],
)
def test_values_of_one_kind_share_a_panel(name, place):
    assert panel_and_line(name) == place


def test_curves_of_several_runs_are_drawn_over_each_other(make_run, tmp_path):
    first = make_run("a/run", *LINES)
    second = make_run("b/run", *LINES, {"step": 10, "val/stoi": 0.5})
    third = make_run("third", *LINES[:1])
    out = tmp_path / "curves.png"
    drawn = draw_curves([first.directory], out)
    assert drawn == {"run": read_series(first)}
    one = size(out)
    drawn = draw_curves([first.directory, second.directory, third.directory], out)
    assert list(drawn) == [str(first.directory), str(second.directory), "third"]
    assert drawn[str(second.directory)] == read_series(second)
    # Three panels: loss, mel distance and perplexity; the second run has a fourth. Columns are equally wide.
    assert size(out) == (one[0] // 3 * 4, one[1])


def test_the_command_draws_and_refuses_in_one_line(make_run, tmp_path):
    run = make_run("run", *LINES)
    result = CliRunner().invoke(cli, ["train", "curves", str(run.directory), "--out", str(tmp_path / "a.png")])
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path / 'a.png'}: 1 run, up to step 10\n"
    for words, rule in [
        ([str(run.directory), "--out", str(tmp_path / "a.pdf")], "must end in .png"),
        ([str(tmp_path), "--out", str(tmp_path / "b.png")], "is not a run"),
    ]:
        result = CliRunner().invoke(cli, ["train", "curves", *words])
        assert isinstance(result.exception, RunError)
        assert rule in str(result.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "run"]


def test_minutes_go_on_after_a_resume_and_are_an_axis(make_run, tmp_path):
    run = make_run("run", *({"step": step, "elapsed_s": 60.0 * step} | {"a": 1.0} for step in (1, 2)), tail='{"st')
    logger = JsonLinesLogger(run.metrics)
    logger.log_metrics({"a": 2.0}, step=3)
    (series,) = draw_curves([run.directory], tmp_path / "a.png", over="minutes")["run"].values()
    assert series.steps == (1, 2, 3)
    assert series.minutes[:2] == (1.0, 2.0)
    assert 2.0 <= series.minutes[2] < 3.0
    with_steps = tmp_path / "b.png"
    draw_curves([run.directory], with_steps)
    assert with_steps.read_bytes() != (tmp_path / "a.png").read_bytes()


def test_runs_without_times_are_not_drawn_over_minutes(make_run, tmp_path):
    run = make_run("run", *LINES)
    with pytest.raises(RunError, match="logged no times"):
        draw_curves([run.directory], tmp_path / "a.png", over="minutes")
    assert not (tmp_path / "a.png").exists()


def test_only_some_values_are_drawn(make_run, tmp_path):
    run = make_run("run", *LINES)
    drawn = draw_curves([run.directory], tmp_path / "a.png", only=["val/", "train/gen"])
    assert set(drawn["run"]) == {"val/mel_distance", "val/1.5kbps/mel_distance", "train/gen/loss"}
    with pytest.raises(RunError, match="begins with none"):
        draw_curves([run.directory], tmp_path / "a.png", only=["none"])
