"""What listeners send: read with care, screened, and summed up."""

import json

import numpy as np
import pytest

from codec.errors import DataError
from listening import SYSTEMS, listeners_who, results, usual_but, write
from training.evaluation.listening.analysis import analyze, draw_ratings, screen
from training.evaluation.listening.mushra import LOW_ANCHOR, MID_ANCHOR, REFERENCE
from training.evaluation.listening.results import read_key, read_listener, read_listeners


def test_ratings_are_summed_up_by_system(tmp_path, key):
    rng = np.random.default_rng(0)
    centre = {REFERENCE: 97, LOW_ANCHOR: 20, MID_ANCHOR: 40, SYSTEMS[0]: 80, SYSTEMS[1]: 60}
    listeners = listeners_who(tmp_path, key, *[lambda _, system: centre[system] + int(rng.integers(-3, 4))] * 8)
    analysis = analyze(listeners, key, seed=3)
    assert (analysis.num_listeners, analysis.num_trials, analysis.excluded) == (8, 2, ())
    assert [one.system for one in analysis.systems] == [REFERENCE, *SYSTEMS, MID_ANCHOR, LOW_ANCHOR]
    for one in analysis.systems:
        assert (one.num_listeners, one.num_ratings) == (8, 16)
        assert centre[one.system] - 3 <= one.minimum <= one.lower_quartile <= one.median <= one.upper_quartile
        assert one.low < one.mean < one.high
        assert one.mean == pytest.approx(centre[one.system], abs=3)
    pairs = {(one.first, one.second): one for one in analysis.comparisons}
    assert pairs.keys() == {(REFERENCE, SYSTEMS[0]), (REFERENCE, SYSTEMS[1]), SYSTEMS}
    between = pairs[SYSTEMS]
    assert between.low < between.difference < between.high and between.difference == pytest.approx(20, abs=3)
    assert between.p_value == pytest.approx(2 / 2**8) and between.adjusted_p == pytest.approx(3 * between.p_value)
    assert analysis == analyze(listeners, key, seed=3)


def test_a_single_listener_has_means_without_intervals(tmp_path, key):
    analysis = analyze(listeners_who(tmp_path, key, usual_but()), key)
    data = json.loads(analysis.to_json())
    assert data["systems"][1]["mean"] == 80 and data["systems"][1]["low"] is None
    assert data["comparisons"][0]["p_value"] == 1


def test_the_picture_shows_every_system(tmp_path, key):
    for name, count in (("one.png", 1), ("five.png", 5)):
        draw_ratings(tmp_path / name, analyze(listeners_who(tmp_path, key, *[usual_but()] * count), key))
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_listeners_who_miss_the_reference_or_an_anchor_are_excluded(tmp_path, key):
    good = [usual_but()] * 5
    listeners = listeners_who(tmp_path, key, *good, usual_but(reference=89), usual_but(mid=91))
    kept, excluded = screen(listeners)
    assert [one.name for one in kept] == [f"listener {n}" for n in range(1, 6)]
    assert [one.listener for one in excluded] == ["listener 6", "listener 7"]
    assert "hidden reference below 90 in 2 of 2" in excluded[0].reason
    assert "7 kHz above 90 in 2 of 2" in excluded[1].reason
    assert analyze(listeners, key).num_listeners == 5
    assert analyze(listeners, key, post_screening=False).num_listeners == 7
    assert screen(listeners_who(tmp_path, key, usual_but(reference=90, mid=90)))[1] == ()


def test_an_anchor_that_many_take_for_the_reference_counts_against_nobody(tmp_path, key):
    _, excluded = screen(listeners_who(tmp_path, key, usual_but(), usual_but(), usual_but(mid=95)))
    assert excluded == ()


def test_nobody_left_is_an_error(tmp_path, key):
    with pytest.raises(DataError, match="excludes all 1 listeners"):
        analyze(listeners_who(tmp_path, key, usual_but(reference=10)), key)


def spoil(data, *where, value):
    """Return the data with what is at `where` replaced."""
    copy = json.loads(json.dumps(data))
    inner = copy
    for step in where[:-1]:
        inner = inner[step]
    inner[where[-1]] = value
    return copy


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("format",), "something", "its format is not"),
        (("version",), 2, "its version is not 1"),
        (("more",), 1, "must be an object of"),
        (("test",), "0123456789abcdef", "but the key is of"),
        (("listener",), "", "1 to 64 printable"),
        (("listener",), "x" * 65, "1 to 64 printable"),
        (("listener",), 5, "1 to 64 printable"),
        (("started",), None, "'started' must be"),
        (("trials",), {}, "a list of 1 to"),
        (("trials",), [[]] * 101, "a list of 1 to 100"),
        (("trials", 0), "trial", "a trial must be an object"),
        (("trials", 0, "trial"), "unknown", "is not in the key"),
        (("trials", 0, "seconds"), -1, "'seconds' must be a number"),
        (("trials", 0, "ratings"), [], "a list of 1 to"),
        (("trials", 0, "ratings"), [{"id": "a", "rating": 1}] * 2, "is there twice"),
        (("trials", 0, "ratings", 0, "id"), "unknown", "exactly the signals"),
        (("trials", 0, "ratings", 0, "rating"), 101, "from 0 to 100"),
        (("trials", 0, "ratings", 0, "rating"), True, "from 0 to 100"),
        (("trials", 0, "ratings", 0, "rating"), "90", "from 0 to 100"),
        (("trials", 0, "ratings", 0, "rating"), None, "from 0 to 100"),
        (("trials", 0, "ratings", 0, "rating"), float("nan"), "NaN is no number"),
        (("trials", 0, "ratings", 0, "rating"), 10**400, "from 0 to 100"),
    ],
)
def test_malformed_results_are_refused_in_a_line(tmp_path, key, where, value, message):
    path = write(tmp_path / "results.json", spoil(results(key), *where, value=value))
    with pytest.raises(DataError, match=message) as caught:
        read_listener(path, key)
    assert "results.json" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff", "no JSON"),
        (b'{"a": 1, "a": 2}', "'a' is there twice"),
        (b"[]", "its format is not"),
        (b" " * ((1 << 20) + 1), "larger than the 1024 KiB"),
    ],
)
def test_a_file_that_is_no_results_is_refused(tmp_path, key, text, message):
    path = tmp_path / "results.json"
    path.write_bytes(text)
    with pytest.raises(DataError, match=message):
        read_listener(path, key)


def test_results_must_be_whole_and_of_different_listeners(tmp_path, key):
    data = results(key)
    half = write(tmp_path / "half.json", data | {"trials": data["trials"][:1]})
    with pytest.raises(DataError, match="1 of 2 trials are missing"):
        read_listener(half, key)
    twice = write(tmp_path / "twice.json", data | {"trials": data["trials"][:1] * 2})
    with pytest.raises(DataError, match="is there twice"):
        read_listener(twice, key)
    first, second = write(tmp_path / "1.json", data), write(tmp_path / "2.json", data | {"listener": "ADA"})
    with pytest.raises(DataError, match="are both of listener 'ADA'"):
        read_listeners([first, second], key)
    with pytest.raises(DataError, match="0 files of results"):
        read_listeners([], key)
    with pytest.raises(DataError, match="can't be read"):
        read_listener(tmp_path / "missing.json", key)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("format",), "other"),
        (("seed",), "7"),
        (("trials",), []),
        (("trials", 1, "name"), "Glockenspiel"),
        (("trials", 0, "signals"), {"a": REFERENCE}),
        (("trials", 0, "signals"), dict.fromkeys("abcde", REFERENCE)),
        (("trials", 0, "signals"), {"a": REFERENCE, "b": LOW_ANCHOR, "c": "x", "d": "y"}),
        (("trials", 0, "gain_db"), 3),
    ],
)
def test_a_malformed_key_is_refused(tmp_path, written_test, where, value):
    data = json.loads((written_test / "key.json").read_text())
    with pytest.raises(DataError, match="is no key of a listening test"):
        read_key(write(tmp_path / "key.json", spoil(data, *where, value=value)))
