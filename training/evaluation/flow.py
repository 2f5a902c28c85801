"""What `nacre evaluate` does: clips and codecs in; a report or a listening test out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codec.audio import Audio, read_audio
from codec.errors import CapabilityError, DataError
from codec.files import write_text
from data_pipelines.licences import read_records
from training.evaluation.card import write_card
from training.evaluation.clips import ClipFile, find_clips
from training.evaluation.codecs.base import OperatingPoint
from training.evaluation.codecs.catalogue import MUSIC_SPECS, SPEECH_SPECS, peer_point
from training.evaluation.codecs.nacre import NacrePoint
from training.evaluation.listening.analysis import analyze, draw_ratings
from training.evaluation.listening.mushra import Trial, write_listening_test
from training.evaluation.listening.results import read_key, read_listeners
from training.evaluation.models import model_points
from training.evaluation.report.write import write_report
from training.evaluation.run import Task, evaluate
from training.evaluation.scores import is_speech, point_name

LYRA_SPECS = ("lyra:3.2", "lyra:6", "lyra:9.2")
MAX_TRIALS = 10


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """What to evaluate: `models` on the audio below `clips`, beside the usual codecs if `peers`, and `codecs`.

    `bitrates_kbps` are the models', all of a spread if empty; `lyra` is the folder of Lyra's graphs, to compare it too;
    `sources` a folder of `nacre audio fetch` that the models were trained on, and `licence` that of their weights, both
    for their cards.
    """

    models: tuple[str, ...]
    clips: Path
    bitrates_kbps: tuple[float, ...] = ()
    codecs: tuple[str, ...] = ()
    peers: bool = True
    lyra: Path | None = None
    sources: Path | None = None
    licence: str = ""


def evaluate_models(request: ReportRequest, out: Path, *, processes: int | None = None) -> str:
    """Score what is asked for, write the report and the models' cards into `out`, and return a line that says so.

    Raises:
        DataError: There are no clips, or a codec is none that we know.
        UnknownModelError: A model is not registered.
        BitrateError: A model has no such bitrate.
        RunError: Another evaluation runs in `out`.
    """
    clips = find_clips(request.clips)
    models = _models(request)
    sources = read_records(request.sources) if request.sources else ()
    tasks = _tasks(request, clips, [point for points in models.values() for point in points])
    results = evaluate(tasks, out, processes=processes)
    if not results.scores:
        raise DataError("; ".join(results.notes) or f"nothing could be scored on '{request.clips}'")
    names = [points[0].codec for points in models.values()]
    files = write_report(
        out, results.scores, audio=_Recoder(tasks), title=" and ".join(names), notes=results.notes, ours=names
    )
    for points in models.values():
        write_card(
            out,
            points[0].codec,
            points[0].directory,
            results.scores,
            curves=[path.name for path in files.curves.values()],
            files=[files.summary_json.name, files.bd_rates_csv.name],
            sources=sources,
            licence=request.licence,
        )
    lines = [f"{files.html}: {len(results.scores)} scores of {len(clips)} clips"]
    kept = [shlex.join(("nacre", "registry", "attach", name, str(out))) for name in names if ":" in name]
    return "\n".join([*lines, *(f"keep it with its version: {command}" for command in kept)])


def write_test(request: ReportRequest, out: Path, *, seed: int) -> str:
    """Write a listening test of the models and codecs into `out`, and return a line that says what to do with it.

    Raises:
        DataError: There are no clips, or more systems than a test may have.
    """
    clips = find_clips(request.clips)
    order = np.random.default_rng(seed).permutation(len(clips))
    chosen = [clips[index] for index in sorted(order[:MAX_TRIALS])]
    points: list[OperatingPoint] = [point for group in _models(request).values() for point in group]
    points += [peer_point(spec, request.lyra) for spec in request.codecs]
    trials = []
    for file in chosen:
        audio = read_audio(file.path)
        systems = {name: coded for point in points for name, coded in _coded(point, audio)}
        trials.append(Trial(name=file.clip.name, reference=audio, reconstructions=systems))
    write_listening_test(out, trials, seed=seed)
    return f"{out / 'index.html'}: {len(trials)} trials; keep key.json to yourself, and send the rest to listeners"


def analyse_test(key: Path, results: Sequence[Path], out: Path) -> str:
    """Analyse ratings, write that to `out` with a picture beside it, and return the systems, best first.

    Raises:
        DataError: A file is no key or no results of that test.
    """
    test = read_key(key)
    analysis = analyze(read_listeners(results, test), test)
    write_text(out, analysis.to_json())
    draw_ratings(out.with_suffix(".png"), analysis)
    lines = [f"{out}: {analysis.num_listeners} listeners, {len(analysis.excluded)} left out"]
    lines += [
        f"  {rating.system}: {rating.mean:.1f} ({rating.low:.1f} to {rating.high:.1f})" for rating in analysis.systems
    ]
    return "\n".join([*lines, *(f"  left out: {one.listener}, {one.reason}" for one in analysis.excluded)])


def _models(request: ReportRequest) -> dict[str, list[NacrePoint]]:
    return {name: model_points(name, request.bitrates_kbps) for name in request.models}


def _tasks(request: ReportRequest, clips: Sequence[ClipFile], models: Sequence[OperatingPoint]) -> list[Task]:
    """Return each clip with each point that suits it: models and named codecs all, the usual ones by kind."""
    named = [peer_point(spec, request.lyra) for spec in request.codecs]
    usual = {spoken: [peer_point(spec, request.lyra) for spec in _usual(spoken, request)] for spoken in (True, False)}
    tasks: list[Task] = []
    for file in clips:
        points = [*models, *named, *usual[is_speech(file.clip.kind, file.clip.sample_rate)]]
        tasks += [(file, point) for point in {_name(point): point for point in points}.values()]
    return tasks


def _usual(spoken: bool, request: ReportRequest) -> Sequence[str]:
    if not request.peers:
        return ()
    lyra = LYRA_SPECS if spoken and request.lyra else ()
    return (*(SPEECH_SPECS if spoken else MUSIC_SPECS), *lyra)


def _name(point: OperatingPoint) -> str:
    return point_name(point.codec, point.bitrate_kbps)


def _coded(point: OperatingPoint, audio: Audio) -> list[tuple[str, Audio]]:
    """Return the point's name and reconstruction, or nothing where it can't code such a clip."""
    try:
        return [(_name(point), point.code(audio).reconstruction)]
    except CapabilityError:
        return []


class _Recoder:
    """Audio for the report: codes a clip again, which is quicker than keeping every reconstruction."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = {(file.clip.name, _name(point)): (file, point) for file, point in tasks}

    def __call__(self, clip: str, point: str) -> tuple[Audio, Audio]:
        """Return the original of a clip and its reconstruction at the operating point of that name."""
        file, codec = self._tasks[clip, point]
        audio = read_audio(file.path)
        return audio, codec.code(audio).reconstruction
