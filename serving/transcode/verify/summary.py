"""What a report says of all files together; it grows by a few numbers a file."""

from __future__ import annotations

import heapq
import statistics
from array import array
from collections import Counter
from dataclasses import dataclass

from serving.transcode.verify.finding import MEASURES, Finding, Measure

WORST = 10
SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How a measure's values are spread over the files."""

    measure: Measure
    values: array[float]
    mean: float
    median: float
    lowest_5_percent: float


class Summary:
    """Counts of findings, all values of each measure, the worst files, and the first that didn't pass."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.seconds = 0.0
        self.bits = 0.0
        self.repaired = 0
        self.unmeasured = 0
        self.failures: list[Finding] = []
        self._values: dict[str, array[float]] = {measure.name: array("d") for measure in MEASURES}
        self._worst: dict[str, list[tuple[float, int, Finding]]] = {measure.name: [] for measure in MEASURES}

    @property
    def num_files(self) -> int:
        """How many findings there are."""
        return self.counts.total()

    @property
    def num_failures(self) -> int:
        """How many findings are not good."""
        return self.num_files - self.counts["ok"]

    def describe(self) -> str:
        """Say in a line what was found."""
        parts = [f"{self.counts['ok']:,} good", f"{self.counts['failed']:,} failed"]
        parts += [f"{self.counts['missing']:,} missing", f"{self.counts['stray']:,} strays"]
        if self.repaired:
            parts.append(f"{self.repaired:,} encoded again")
        if self.unmeasured:
            parts.append(f"{self.unmeasured:,} without a value")
        return ", ".join(parts)

    def add(self, finding: Finding) -> None:
        """Take a finding in."""
        self.counts[finding.status] += 1
        self.repaired += finding.repaired is not None
        self.unmeasured += finding.undefined is not None
        if finding.status != "ok" and len(self.failures) < SHOWN:
            self.failures.append(finding)
        if finding.seconds is not None:
            self.seconds += finding.seconds
            self.bits += 1000 * finding.seconds * (finding.measured_kbps or 0.0)
        for measure in MEASURES:
            if (value := finding.value(measure.name)) is not None:
                self._values[measure.name].append(value)
                self._rank(self._worst[measure.name], value, finding)

    def spreads(self) -> list[Spread]:
        """Return the spread of each measure that has values."""
        found = []
        for measure in MEASURES:
            if values := self._values[measure.name]:
                ordered = sorted(values)
                found.append(
                    Spread(
                        measure=measure,
                        values=values,
                        mean=statistics.fmean(values),
                        median=statistics.median(ordered),
                        lowest_5_percent=ordered[(len(ordered) - 1) // 20],
                    )
                )
        return found

    def worst(self) -> list[Finding]:
        """Return the worst files by the measure that ranks first, the worst of all first."""
        ranked = next((self._worst[measure.name] for measure in MEASURES if self._worst[measure.name]), [])
        return [finding for _, _, finding in sorted(ranked, key=lambda item: (-item[0], -item[1]))]

    def _rank(self, heap: list[tuple[float, int, Finding]], value: float, finding: Finding) -> None:
        """Keep the lowest values, the first to come where they are equal."""
        item = (-value, -self.num_files, finding)
        if len(heap) < WORST:
            heapq.heappush(heap, item)
        else:
            heapq.heappushpop(heap, item)
