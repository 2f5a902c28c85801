"""Listening tests for the tests: what a trial is made of, and what listeners send."""

import json

import numpy as np

from codec.audio import Audio
from training.evaluation.listening.mushra import LOW_ANCHOR, MID_ANCHOR, REFERENCE, Trial
from training.evaluation.listening.results import read_listeners

RATE = 32_000
SYSTEMS = ("Nacre-6-kbps", "Rival & <Sons>")


def noise(seed, seconds=1.0, rate=RATE, channels=1, level=0.1):
    samples = level * np.random.default_rng(seed).standard_normal((channels, int(seconds * rate)))
    return Audio(samples=samples.astype(np.float32), sample_rate=rate)


def trial(name="Glockenspiel", seed=0, systems=SYSTEMS, **settings):
    coded = {system: noise(seed + n, **settings) for n, system in enumerate(systems, start=1)}
    return Trial(name=name, reference=noise(seed, **settings), reconstructions=coded)


def two_trials():
    """Return the trials of the listening test that the fixtures write."""
    return [trial(), trial("Castanets", seed=10)]


def results(key, listener="Ada", rate=None, **changes):
    """Return results as the page makes them; `rate` takes the name of a trial and a system."""
    usual = {REFERENCE: 100, LOW_ANCHOR: 20, MID_ANCHOR: 40, SYSTEMS[0]: 80, SYSTEMS[1]: 60}
    rate = rate or (lambda trial, system: usual[system])
    trials = [
        {
            "trial": each.id,
            "seconds": 30,
            "ratings": [{"id": id, "rating": rate(each.name, system)} for id, system in each.signals.items()],
        }
        for each in key.trials
    ]
    return {
        "format": "nacre-mushra-results",
        "version": 1,
        "test": key.test,
        "listener": listener,
        "started": "2026-01-01T10:00:00.000Z",
        "finished": "2026-01-01T10:20:00.000Z",
        "trials": trials,
    } | changes


def write(path, data):
    path.write_text(json.dumps(data))
    return path


def listeners_who(tmp_path, key, *rates):
    paths = [
        write(tmp_path / f"{n}.json", results(key, f"listener {n}", rate)) for n, rate in enumerate(rates, start=1)
    ]
    return read_listeners(paths, key)


def usual_but(**changed):
    """Rate as usual, but hidden reference or anchors otherwise, in one trial or in all."""
    ratings = {"reference": 100, "low": 20, "mid": 40} | changed
    names = {REFERENCE: "reference", LOW_ANCHOR: "low", MID_ANCHOR: "mid"}
    return lambda trial, system: ratings[names[system]] if system in names else {SYSTEMS[0]: 80, SYSTEMS[1]: 60}[system]
