"""A MUSHRA listening test: a folder with a page for a browser, blinded audio, and the key that stays with whoever asks.

Source: ITU-R BS.1534-3, "Method for the subjective assessment of intermediate quality level of audio systems" (2015):
a labelled reference, and beside it, unlabelled, the systems, the reference again, and anchors low-passed at 3.5 and
7 kHz, at most 12 signals, rated from 0 to 100. Deviations: levels are left alone where the Recommendation equalizes
loudness, the training phase is left to the experimenter, and clips may last 30 s where it advises 12.

    out/
    ├── index.html          all of the test but its audio; works from file:// (mushra_page.html, filled)
    ├── audio/ID.wav, .js   each signal in 16 bits; .js is the same in base64, as a page from file:// can't fetch
    └── key.json            which ID is which system: listeners must not get it

Nothing but key.json holds a name of a system or a trial. Axes: samples are float32 [C, T], as in codec/audio.py.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.audio import Audio, audio_bytes
from codec.errors import AudioError, DataError, LimitError
from codec.files import TEMPORARY_PREFIX, write_bytes, write_text

REFERENCE = "reference"
LOW_ANCHOR = "anchor 3.5 kHz"
MID_ANCHOR = "anchor 7 kHz"
# Pass and stop edge; the Recommendation asks for 25 dB at 4 kHz (8 kHz), and for 50 dB at 4.5 kHz (9 kHz).
ANCHORS_HZ = {LOW_ANCHOR: (3_500, 4_000), MID_ANCHOR: (7_000, 8_000)}
STOPBAND_DB = 80.0
RESERVED = (REFERENCE, *ANCHORS_HZ)

MAX_SYSTEMS = 9
MAX_TRIALS = 100
MAX_NAME = 200
MIN_SECONDS = 0.5
MAX_SECONDS = 30.0
# Below it the anchor at 7 kHz would be the reference.
MIN_SAMPLE_RATE = 16_000
MAX_CHANNELS = 2

PAGE_NAME = "index.html"
AUDIO_NAME = "audio"
KEY_NAME = "key.json"
KEY_FORMAT = "nacre-mushra-key"
RESULTS_FORMAT = "nacre-mushra-results"
VERSION = 1
TEMPLATE = Path(__file__).with_name("mushra_page.html")
PLACEHOLDER = "{{TEST}}"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A clip to be rated: its reference, and by system what became of it, at the same rate and of the same length."""

    name: str
    reference: Audio
    reconstructions: Mapping[str, Audio]


@dataclass(frozen=True, kw_only=True)
class KeyTrial:
    """A trial in the key: its id, the id of the labelled reference, and the system of every other id.

    `gain_db` is what all of its signals were changed by, so that none clips: 0 as a rule.
    """

    id: str
    name: str
    reference: str
    gain_db: float
    signals: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Key:
    """Which id is which system; `test` is a hash of all that listeners hear, and results carry it."""

    test: str
    seed: int
    trials: tuple[KeyTrial, ...]

    def to_json(self) -> str:
        """Return the text of key.json."""
        trials = [
            {
                "trial": trial.id,
                "name": trial.name,
                "reference": trial.reference,
                "gain_db": trial.gain_db,
                "signals": trial.signals,
            }
            for trial in self.trials
        ]
        data = {"format": KEY_FORMAT, "version": VERSION, "test": self.test, "seed": self.seed, "trials": trials}
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def write_listening_test(out: Path, trials: Sequence[Trial], *, seed: int) -> None:
    """Write a listening test to the folder `out`, whose names of files and order are drawn by `seed`.

    A call that was interrupted can be repeated; the page is written last.

    Raises:
        AudioError: A reconstruction doesn't go with its reference, or its rate or channels are unfit.
        LimitError: A clip is too long, or there are too many trials or systems.
        DataError: There is nothing to compare, names are unfit, or `out` holds something else.
    """
    _check(trials)
    keyed = [_keyed(trial, seed) for trial in trials]
    files = {name: data for trial, signals in zip(trials, keyed, strict=True) for name, data in _waves(trial, signals)}
    key = Key(test=_fingerprint(files, keyed), seed=seed, trials=tuple(keyed))
    _check_folder(out, key)
    write_text(out / KEY_NAME, key.to_json())
    for name, wave in sorted(files.items()):
        write_bytes(out / AUDIO_NAME / f"{name}.wav", wave)
        text = base64.b64encode(wave).decode("ascii")
        write_text(out / AUDIO_NAME / f"{name}.js", f'mushraAudio("{name}","{text}");\n')
    write_text(out / PAGE_NAME, _page(key, trials))


def low_pass(audio: Audio, pass_hz: float, stop_hz: float) -> Audio:
    """Low-pass with a linear-phase FIR (a sinc in a Kaiser window), its delay taken out: sample n stays sample n."""
    taps = _taps(audio.sample_rate, pass_hz, stop_hz)
    half = len(taps) // 2
    size = 1 << (audio.num_samples + len(taps) - 2).bit_length()
    spectrum = np.fft.rfft(audio.samples.astype(np.float64), size) * np.fft.rfft(taps, size)
    samples = np.fft.irfft(spectrum, size)[:, half : half + audio.num_samples]
    return Audio(samples=samples.astype(np.float32), sample_rate=audio.sample_rate)


def _taps(sample_rate: int, pass_hz: float, stop_hz: float) -> NDArray[np.float64]:
    """Return an odd number of taps of sum 1, after Kaiser's formulas."""
    width = (stop_hz - pass_hz) / sample_rate
    half = math.ceil((STOPBAND_DB - 7.95) / (14.36 * width) / 2)
    cutoff = (pass_hz + stop_hz) / sample_rate
    window = np.kaiser(2 * half + 1, 0.1102 * (STOPBAND_DB - 8.7))
    taps = window * np.sinc(cutoff * np.arange(-half, half + 1))
    return np.asarray(taps / taps.sum(), np.float64)


def _check(trials: Sequence[Trial]) -> None:
    """Refuse what can't be a test."""
    if not trials:
        raise DataError("a listening test needs at least one trial")
    if len(trials) > MAX_TRIALS:
        raise LimitError(f"{len(trials)} trials are too many for a listening test: take at most {MAX_TRIALS}")
    names = [trial.name for trial in trials]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"two trials are named '{twice[0]}': give each its own name")
    for trial in trials:
        _check_systems(trial)
        _check_audio(trial)


def _check_systems(trial: Trial) -> None:
    count = len(trial.reconstructions)
    if count < 1:
        raise DataError(f"trial '{trial.name}' has no system to rate: give it 1 to {MAX_SYSTEMS}")
    if count > MAX_SYSTEMS:
        rule = f"BS.1534-3 allows 12 signals, so {MAX_SYSTEMS} systems beside hidden reference and anchors"
        raise LimitError(f"trial '{trial.name}' has {count} systems: {rule}")
    for name in (trial.name, *trial.reconstructions):
        if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
            raise DataError(f"{name!r} can't name a trial or system: use 1 to {MAX_NAME} printable characters")
    if taken := [name for name in RESERVED if name in trial.reconstructions]:
        raise DataError(f"trial '{trial.name}' names a system '{taken[0]}', which the test adds itself: rename it")


def _check_audio(trial: Trial) -> None:
    reference = trial.reference
    if reference.seconds > MAX_SECONDS:
        rule = f"a listening test takes clips of at most {MAX_SECONDS:g} s"
        raise LimitError(f"trial '{trial.name}' is {reference.seconds:.1f} s long: {rule}")
    if reference.seconds < MIN_SECONDS:
        rule = f"a listening test needs at least {MIN_SECONDS:g} s"
        raise AudioError(f"trial '{trial.name}' is {reference.seconds:.2f} s long: {rule}")
    if reference.sample_rate < MIN_SAMPLE_RATE:
        rule = f"the anchor at 7 kHz needs at least {MIN_SAMPLE_RATE} Hz"
        raise AudioError(f"trial '{trial.name}' is sampled at {reference.sample_rate} Hz: {rule}")
    if reference.channels > MAX_CHANNELS:
        raise AudioError(f"trial '{trial.name}' has {reference.channels} channels: headphones take 1 or 2")
    if not np.isfinite(reference.samples).all():
        raise AudioError(f"trial '{trial.name}' has a reference with samples that are not finite")
    for system, audio in trial.reconstructions.items():
        if (audio.sample_rate, audio.samples.shape) != (reference.sample_rate, reference.samples.shape):
            ours = f"{audio.channels} x {audio.num_samples} samples at {audio.sample_rate} Hz"
            theirs = f"{reference.channels} x {reference.num_samples} at {reference.sample_rate} Hz"
            raise AudioError(f"'{system}' in trial '{trial.name}' has {ours}, but its reference {theirs}: align them")
        if not np.isfinite(audio.samples).all():
            raise AudioError(f"'{system}' in trial '{trial.name}' has samples that are not finite")


def _keyed(trial: Trial, seed: int) -> KeyTrial:
    """Return the trial's ids, sorted, so that their order says nothing."""
    ids = {_id(seed, trial.name, system): system for system in (*RESERVED, *trial.reconstructions)}
    return KeyTrial(
        id=_id(seed, trial.name),
        name=trial.name,
        reference=_id(seed, trial.name, "labelled"),
        gain_db=_gain_db(_signals(trial)),
        signals=dict(sorted(ids.items())),
    )


def _id(seed: int, *names: str) -> str:
    return hashlib.sha256(json.dumps(["nacre-mushra", seed, *names]).encode()).hexdigest()[:12]


def _signals(trial: Trial) -> dict[str, Audio]:
    """Return all signals of a trial by system, anchors and reference included."""
    anchors = {name: low_pass(trial.reference, *edges) for name, edges in ANCHORS_HZ.items()}
    return {REFERENCE: trial.reference, **anchors, **trial.reconstructions}


def _gain_db(signals: Mapping[str, Audio]) -> float:
    """Return the gain at which none of a trial's signals clips in 16 bits; 0 where none would anyway."""
    peak = max(float(np.abs(audio.samples).max()) for audio in signals.values())
    return min(0.0, -math.ceil(2_000 * math.log10(max(peak, 1e-9))) / 100)


def _waves(trial: Trial, key: KeyTrial) -> list[tuple[str, bytes]]:
    """Return each id with its WAV, all of them at the trial's one gain."""
    signals = _signals(trial)
    by_id = {key.reference: REFERENCE, **key.signals}
    gain = np.float32(10 ** (key.gain_db / 20))
    scaled = {
        name: Audio(samples=signals[system].samples * gain, sample_rate=trial.reference.sample_rate)
        for name, system in by_id.items()
    }
    return [(name, audio_bytes(audio, "wav", "PCM_16")) for name, audio in scaled.items()]


def _fingerprint(files: Mapping[str, bytes], keyed: Sequence[KeyTrial]) -> str:
    digest = hashlib.sha256(json.dumps([trial.id for trial in keyed]).encode())
    for name, data in sorted(files.items()):
        digest.update(name.encode() + hashlib.sha256(data).digest())
    return digest.hexdigest()[:16]


def _check_folder(out: Path, key: Key) -> None:
    """Let a new, an empty, or a half-written folder of the same test pass."""
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(f"'{out}' is no folder: name another for the listening test")
    found = {path.name for path in out.iterdir() if not path.name.startswith(TEMPORARY_PREFIX)}
    if not found:
        return
    try:
        same = (out / KEY_NAME).read_text(encoding="utf-8") == key.to_json()
    except (OSError, ValueError):
        same = False
    if not same or found - {PAGE_NAME, AUDIO_NAME, KEY_NAME}:
        raise DataError(f"'{out}' already holds something else: name an empty or new folder for the listening test")


def _page(key: Key, trials: Sequence[Trial]) -> str:
    """Return the page, with all it needs to know, and no names."""
    shown: list[dict[str, Any]] = [
        {
            "id": keyed.id,
            "reference": keyed.reference,
            "conditions": list(keyed.signals),
            "sampleRate": trial.reference.sample_rate,
        }
        for keyed, trial in zip(key.trials, trials, strict=True)
    ]
    shown.sort(key=lambda trial: str(trial["id"]))
    data = {"format": RESULTS_FORMAT, "version": VERSION, "test": key.test, "trials": shown}
    # No text in a page's script ends it: < is the one character that could.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return TEMPLATE.read_text(encoding="utf-8").replace(PLACEHOLDER, text)
