"""Results of listeners, read with the key of their MUSHRA test.

They are files from strangers: everything is checked, and sizes are limited before anything is parsed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codec.errors import DataError
from training.evaluation.listening.mushra import (
    KEY_FORMAT,
    MAX_NAME,
    MAX_SYSTEMS,
    MAX_TRIALS,
    RESERVED,
    RESULTS_FORMAT,
    VERSION,
    Key,
    KeyTrial,
)

MAX_KEY_BYTES = 2 << 20
MAX_RESULTS_BYTES = 1 << 20
MAX_LISTENERS = 1_000
MAX_LISTENER_NAME = 64
MAX_RATING = 100


@dataclass(frozen=True, kw_only=True)
class Listener:
    """One listener's ratings, by the name of the trial and then by system, hidden reference and anchors included."""

    name: str
    ratings: dict[str, dict[str, float]]


def read_key(path: Path) -> Key:
    """Read key.json.

    Raises:
        DataError: It is missing, too large, damaged or no key.
    """
    data = _parse(path, MAX_KEY_BYTES)
    try:
        _expect(data, {"format", "version", "test", "seed", "trials"}, KEY_FORMAT)
        trials = tuple(_key_trial(each) for each in _list(data["trials"], "trials", MAX_TRIALS))
        _unique([trial.id for trial in trials], "trial")
        _unique([trial.name for trial in trials], "name of a trial")
        _unique([name for trial in trials for name in trial.signals], "signal")
        return Key(test=_text(data["test"], "test"), seed=_integer(data["seed"], "seed"), trials=trials)
    except ValueError as error:
        raise DataError(f"'{path}' is no key of a listening test: {error}") from None


def read_listener(path: Path, key: Key) -> Listener:
    """Read one listener's results; they must be of the key's test, and whole.

    Raises:
        DataError: They are missing, too large, damaged, incomplete, or of another test.
    """
    data = _parse(path, MAX_RESULTS_BYTES)
    try:
        fields = {"format", "version", "test", "listener", "started", "finished", "trials"}
        _expect(data, fields, RESULTS_FORMAT)
        if _text(data["test"], "test") != key.test:
            raise ValueError(f"they are of test {data['test']!r}, but the key is of {key.test!r}")
        name = _text(data["listener"], "listener", MAX_LISTENER_NAME)
        for field in ("started", "finished"):
            _text(data[field], field)
        pairs = [_rated_trial(each, key) for each in _list(data["trials"], "trials", MAX_TRIALS)]
        _unique([trial for trial, _ in pairs], "trial")
        if missing := len(key.trials) - len(pairs):
            raise ValueError(f"{missing} of {len(key.trials)} trials are missing")
        return Listener(name=name, ratings=dict(pairs))
    except ValueError as error:
        raise DataError(f"'{path}' holds no results of this listening test: {error}") from None


def read_listeners(paths: Sequence[Path], key: Key) -> tuple[Listener, ...]:
    """Read the results of all listeners.

    Raises:
        DataError: As for one, or there are none or too many, or two have the same name.
    """
    if not 1 <= len(paths) <= MAX_LISTENERS:
        raise DataError(f"there are {len(paths)} files of results: give 1 to {MAX_LISTENERS}")
    seen: dict[str, Path] = {}
    listeners = []
    for path in paths:
        listener = read_listener(path, key)
        if first := seen.get(listener.name.casefold()):
            raise DataError(f"'{first}' and '{path}' are both of listener '{listener.name}': keep one of them")
        seen[listener.name.casefold()] = path
        listeners.append(listener)
    return tuple(listeners)


def _parse(path: Path, most: int) -> Any:
    """Return the JSON of a file that is small enough; each key at most once, and no NaN."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise DataError(f"'{path}' can't be read ({error.strerror})") from None
    if len(data) > most:
        raise DataError(f"'{path}' is larger than the {most >> 10} KiB allowed")
    try:
        return json.loads(data.decode(), object_pairs_hook=_object, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is no JSON that can be read ({error})") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _unique([name for name, _ in pairs], "key")
    return dict(pairs)


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _fields(data: Any, names: set[str], what: str) -> None:
    if not isinstance(data, dict) or data.keys() != names:
        raise ValueError(f"{what} must be an object of {', '.join(sorted(names))}")


def _expect(data: Any, names: set[str], form: str) -> None:
    if not isinstance(data, dict) or data.get("format") != form:
        raise ValueError(f"its format is not {form!r}")
    if data.get("version") != VERSION:
        raise ValueError(f"its version is not {VERSION}")
    _fields(data, names, "the file")


def _text(value: Any, what: str, most: int = MAX_NAME) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable():
        raise ValueError(f"'{what}' must be 1 to {most} printable characters")
    return value


def _integer(value: Any, what: str) -> int:
    if type(value) is not int:
        raise ValueError(f"'{what}' must be a whole number")
    return value


def _number(value: Any, what: str, least: float, most: float) -> float:
    if type(value) not in (int, float) or not least <= value <= most:
        raise ValueError(f"'{what}' must be a number from {least:g} to {most:g}")
    return float(value)


def _list(value: Any, what: str, most: int) -> list[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise ValueError(f"'{what}' must be a list of 1 to {most}")
    return value


def _unique(values: Sequence[str], what: str) -> None:
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        raise ValueError(f"{what} {twice[:MAX_NAME]!r} is there twice")


def _key_trial(data: Any) -> KeyTrial:
    _fields(data, {"trial", "name", "reference", "gain_db", "signals"}, "a trial")
    signals = data["signals"]
    if not isinstance(signals, dict) or not len(RESERVED) < len(signals) <= len(RESERVED) + MAX_SYSTEMS:
        raise ValueError("'signals' must be an object of ids and systems")
    named = {_text(id, "id"): _text(system, "system") for id, system in signals.items()}
    _unique(list(named.values()), "system")
    if not set(RESERVED) <= set(named.values()):
        raise ValueError("a trial lacks its hidden reference or an anchor")
    return KeyTrial(
        id=_text(data["trial"], "trial"),
        name=_text(data["name"], "name"),
        reference=_text(data["reference"], "reference"),
        gain_db=_number(data["gain_db"], "gain_db", -400, 0),
        signals=named,
    )


def _rated_trial(data: Any, key: Key) -> tuple[str, dict[str, float]]:
    """Return the trial's name and its ratings by system."""
    _fields(data, {"trial", "seconds", "ratings"}, "a trial")
    _number(data["seconds"], "seconds", 0, 1e9)
    known = {trial.id: trial for trial in key.trials}
    trial = known.get(_text(data["trial"], "trial"))
    if trial is None:
        raise ValueError(f"trial {data['trial']!r} is not in the key")
    pairs = [_rating_of(each) for each in _list(data["ratings"], "ratings", len(RESERVED) + MAX_SYSTEMS)]
    _unique([id for id, _ in pairs], "signal")
    ratings = dict(pairs)
    if ratings.keys() != trial.signals.keys():
        raise ValueError(f"trial {trial.id!r} doesn't rate exactly the signals of the key")
    return trial.name, {trial.signals[id]: rating for id, rating in ratings.items()}


def _rating_of(data: Any) -> tuple[str, float]:
    _fields(data, {"id", "rating"}, "a rating")
    return _text(data["id"], "id"), _number(data["rating"], "rating", 0, MAX_RATING)
