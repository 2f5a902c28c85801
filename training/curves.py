"""The curves of runs, drawn from their folders alone: losses, validation at each bitrate, health, throughput.

Values of one kind share a panel: a metric at all bitrates, a measure of all codebooks. Several runs lie over each
other.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from codec.errors import RunError
from codec.files import write_bytes
from training.run import Run, open_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Over = Literal["steps", "minutes"]
COLUMNS = 4
PANEL_INCHES = (4.6, 3.0)
MAX_LEGEND = 12
LINE_STYLES = ("-", "--", ":", "-.")
# A value that belongs to a codebook, and a validation at something else than all bits.
CODEBOOK = re.compile(r"(?P<panel>train/codebook/.+)_(?P<line>\d+)")
VALIDATION = re.compile(r"val/(?P<line>[^/]+)/(?P<metric>[^/]+)")
ORDER = ("train/gen/loss", "val/", "train/gen/", "train/disc/", "train/codebook/", "train/throughput/")


@dataclass(frozen=True)
class Series:
    """One value over generator steps, which rise, and over the minutes of the run, unless it didn't log them."""

    steps: tuple[int, ...]
    values: tuple[float, ...]
    minutes: tuple[float, ...] = ()


def read_series(run: Run) -> dict[str, Series]:
    """Return each logged value of a run by name; of a step logged twice, after a resume, the last value counts.

    Values that were not finite are left out, as is a last line that a killed run has not finished.

    Raises:
        RunError: Nothing was logged yet, or the file is damaged.
    """
    points: dict[str, dict[int, float]] = {}
    minutes: dict[int, float] = {}
    for line in _lines(run.metrics):
        step, elapsed_s = line.pop("step"), line.pop("elapsed_s", None)
        if elapsed_s is not None:
            minutes[step] = elapsed_s / 60
        for name, value in line.items():
            if value is None:
                points.get(name, {}).pop(step, None)
            else:
                points.setdefault(name, {})[step] = value
    series = {name: _series(values, minutes) for name, values in points.items() if values}
    if not series:
        raise RunError(f"'{run.metrics}' holds no values yet: wait until the run has logged some")
    return series


def panel_and_line(name: str) -> tuple[str, str]:
    """Return the panel in which a value is drawn, and its name there; none if it is the panel's only one."""
    if match := CODEBOOK.fullmatch(name):
        return match["panel"], f"codebook {match['line']}"
    if match := VALIDATION.fullmatch(name):
        return f"val/{match['metric']}", match["line"]
    return name, "all bits" if name.startswith("val/") else ""


def draw_curves(
    runs: Sequence[Path], out: Path, over: Over = "steps", only: Sequence[str] = ()
) -> dict[str, dict[str, Series]]:
    """Draw the curves of runs to the PNG `out`, and return what was drawn: each run's series by their names.

    `only` are beginnings of names, and what has none of them is left out.

    Raises:
        RunError: One is no run, has logged nothing or no times, or is damaged; or `out` is no .png.
    """
    if out.suffix.lower() != ".png":
        raise RunError(f"'{out}' must end in .png, the one format that curves are drawn in")
    labels = _labels(runs)
    drawn = {label: read_series(open_run(path)) for label, path in zip(labels, runs, strict=True)}
    if only:
        kept = {
            run: {name: one for name, one in series.items() if name.startswith(tuple(only))}
            for run, series in drawn.items()
        }
        if not all(kept.values()):
            raise RunError(
                f"a run has no value whose name begins with {' or '.join(only)}: leave out --only to see all"
            )
        drawn = kept
    for run, series in zip(runs, drawn.values(), strict=True):
        if over == "minutes" and not all(one.minutes for one in series.values()):
            raise RunError(f"'{run}' logged no times, as an earlier release trained it: draw it over steps")
    write_bytes(out, _picture(drawn, over))
    return drawn


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a metrics file; the last line may be torn."""
    if not path.is_file():
        raise RunError(f"'{path}' doesn't exist: the run has logged nothing yet")
    lines = path.read_bytes().split(b"\n")
    for number, text in enumerate(lines, start=1):
        if number == len(lines):
            return
        try:
            yield _checked(json.loads(text))
        except ValueError:
            rule = f"'{path}' is damaged: line {number} is no object of a step and numbers"
            raise RunError(f"{rule}; remove that line to draw the others") from None


def _checked(line: Any) -> dict[str, Any]:
    """Return the line, if it has a step and numbers."""
    if not isinstance(line, dict) or type(line.get("step")) is not int:
        raise ValueError
    if not all(value is None or type(value) in (int, float) for value in line.values()):
        raise ValueError
    return line


def _series(values: dict[int, float], minutes: dict[int, float]) -> Series:
    steps = sorted(values)
    times = tuple(minutes[step] for step in steps) if minutes.keys() >= values.keys() else ()
    return Series(tuple(steps), tuple(values[step] for step in steps), times)


def _labels(runs: Sequence[Path]) -> list[str]:
    """Return the runs' folder names, or their paths where two have the same."""
    names = [path.absolute().name for path in runs]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, runs, strict=True)]


def _picture(drawn: dict[str, dict[str, Series]], over: Over) -> bytes:
    """Return a PNG with a panel for each kind of value."""
    from matplotlib.figure import Figure

    panels = sorted({panel_and_line(name)[0] for series in drawn.values() for name in series}, key=_rank)
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows), layout="constrained")
    for number, panel in enumerate(panels):
        _draw_panel(figure.add_subplot(rows, columns, number + 1), panel, drawn, over)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def _draw_panel(axes: Axes, panel: str, drawn: dict[str, dict[str, Series]], over: Over) -> None:
    """Draw the lines of a panel: a colour for each line, or for each run if it has but one; a dash for each run."""
    found = [
        (run, panel_and_line(name)[1], series)
        for run, every in drawn.items()
        for name, series in every.items()
        if panel_and_line(name)[0] == panel
    ]
    lines = sorted({line for _, line, _ in found}, key=_natural)
    runs = list(drawn)
    for run, line, series in found:
        index = lines.index(line) if len(lines) > 1 else runs.index(run)
        label = " ".join(part for part in (run if len(runs) > 1 else "", line) if part)
        style = LINE_STYLES[runs.index(run) % len(LINE_STYLES)]
        marker = "o" if len(series.steps) == 1 else ""
        axes.plot(
            getattr(series, over), series.values, style, color=f"C{index % 10}", label=label, marker=marker, linewidth=1
        )
    axes.set_title(panel, fontsize="medium")
    if over == "minutes":
        axes.set_xlabel("minutes", fontsize="small")
    axes.grid(alpha=0.3)
    if 1 < len(found) <= MAX_LEGEND:
        axes.legend(fontsize="x-small")


def _rank(panel: str) -> tuple[int, str]:
    """Return where a panel stands: by ORDER, then by name; others come last."""
    return next((i for i, prefix in enumerate(ORDER) if panel.startswith(prefix)), len(ORDER)), panel


def _natural(line: str) -> list[tuple[int, float, str]]:
    """Return a key that sorts the numbers in a name as numbers."""
    parts = re.split(r"(\d+(?:\.\d+)?)", line)
    return [(1, float(part), "") if index % 2 else (0, 0.0, part) for index, part in enumerate(parts)]
