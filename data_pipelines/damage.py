"""Damage: what of a data set can't be read, and how much of it training replaced by other records.

Streams find it in workers and send it along with their batches (data_pipelines/stream.py); each rank adds it to its
DamageLog, and training/data_watch.py sums the logs over the ranks, shows them, and stops training beyond a limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A shard of which `bad_records` can't be read; split train of its data set, `directory`, has `set_records`."""

    directory: str
    shard: str
    reason: str
    bad_records: int
    set_records: int


@dataclass(kw_only=True)
class DamageReport:
    """What was found since the last report; `replaced_records` counts each time that a record was replaced."""

    replaced_records: int = 0
    damages: list[Damage] = field(default_factory=list)


def join_reports(reports: Iterable[DamageReport]) -> DamageReport:
    """Return one report of all."""
    joined = DamageReport()
    for report in reports:
        joined.replaced_records += report.replaced_records
        joined.damages += report.damages
    return joined


class DamageLog:
    """All that one rank has found since its process started, each shard once."""

    def __init__(self) -> None:
        self.replaced_records = 0
        self._damages: dict[tuple[str, str], Damage] = {}

    @property
    def damages(self) -> tuple[Damage, ...]:
        """The shards with something unreadable, in the order in which they were found."""
        return tuple(self._damages.values())

    def add(self, report: DamageReport) -> None:
        """Add what a reader reports."""
        self.replaced_records += report.replaced_records
        for damage in report.damages:
            self._damages.setdefault((damage.directory, damage.shard), damage)


def worst_set(damages: Iterable[Damage]) -> tuple[str, float]:
    """Return the directory with the largest share of unreadable records, and the share; damages name a shard once."""
    shares: dict[str, float] = {}
    for damage in damages:
        share = damage.bad_records / damage.set_records
        shares[damage.directory] = shares.get(damage.directory, 0.0) + share
    return max(shares.items(), key=lambda item: item[1], default=("", 0.0))
