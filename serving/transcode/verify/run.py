"""Verifying a finished transcode, from its manifest to what was found of each file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from codec.audio import AudioLimits
from codec.errors import DataError, NacreError
from serving.transcode.bags.checksums import OUTPUT_SUMS, SOURCE_SUMS
from serving.transcode.bags.read import check_bag, is_bag
from serving.transcode.bags.tags import DECLARATION
from serving.transcode.engines import Engine
from serving.transcode.entry import Entry, Locator
from serving.transcode.fragments import END
from serving.transcode.manifest import MANIFEST, Record, read_manifest
from serving.transcode.order import Order
from serving.transcode.place import LocalPlace, open_file, open_place
from serving.transcode.settings import Settings
from serving.transcode.sources import open_source
from serving.transcode.sources.folder import STATE_FOLDER
from serving.transcode.stopping import StoppedError, stoppable
from serving.transcode.tally import Tally
from serving.transcode.verify.bagging import finished_target, refresh
from serving.transcode.verify.calls import check_item, cut_excerpt
from serving.transcode.verify.catalogue import Catalogue
from serving.transcode.verify.finding import Before, Finding, Floors
from serving.transcode.verify.items import CheckJob, Item
from serving.transcode.verify.pool import Runner
from serving.transcode.verify.repair import repair
from serving.transcode.verify.report import write_lines, write_page
from serving.transcode.verify.summary import Summary
from serving.transcode.work import MAX_SECONDS, Advance

# What lies beside outputs.
_OTHERS = frozenset({MANIFEST, SOURCE_SUMS, OUTPUT_SUMS})


@dataclass(frozen=True, kw_only=True)
class VerifyOrder:
    """What to verify, by which model, and what for.

    `package` is the model's directory, and `fingerprint` the model's. With `repair_quantizers`, what misses a floor is
    encoded again with so many stages. The report goes into the folder `report`.
    """

    source: str
    target: str
    package: Path
    fingerprint: str
    floors: Floors
    repair_quantizers: int | None = None
    report: Path | None = None


def verify(order: VerifyOrder, runner: Runner, engine: Engine, tally: Tally | None = None) -> Summary:
    """Verify DST against SRC, and return what was found; `runner` checks files, `engine` encodes some again.

    Raises:
        DataError: DST is no finished transcode, its manifest is damaged, or SRC can't be listed.
        NacreError: Another run works on DST, the report can't be written, or a signal came.
    """
    try:
        with stoppable(), ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nacre-verify-")))
            catalogue = stack.enter_context(Catalogue.open(scratch))
            return _Run(order, runner, engine, tally or Tally(), catalogue, scratch).run()
    except StoppedError:
        raise NacreError("stopped; nothing was reported") from None


class _Run:
    def __init__(
        self,
        order: VerifyOrder,
        runner: Runner,
        engine: Engine,
        tally: Tally,
        catalogue: Catalogue,
        scratch: Path,
    ) -> None:
        self._order = order
        self._runner = runner
        self._engine = engine
        self._tally = tally
        self._catalogue = catalogue
        self._target = finished_target(order.target)
        self._place = open_place(self._target)
        # What is being checked: bytes of sources, by name.
        self._sizes: dict[str, int] = {}
        self._job = CheckJob(
            package=order.package,
            floors=order.floors,
            limits=AudioLimits(max_seconds=MAX_SECONDS),
            scratch=scratch,
        )

    def run(self) -> Summary:
        self._tally.stage = "reading"
        self._read_manifest()
        self._look_at_target()
        self._tally.begin_work()
        for item, finding in self._check(self._items()):
            self._put(finding, item.source)
        self._find_others()
        if self._order.repair_quantizers is not None:
            self._repair(self._order.repair_quantizers)
        self._check_wholes()
        self._tally.stage = "reporting"
        return self._report()

    def _check(self, items: Iterator[Item]) -> Iterator[tuple[Item, Finding]]:
        """Yield items with what is found, and show how far those are that take long."""

        def noted() -> Iterator[Item]:
            for item in items:
                self._sizes[item.source.name] = item.source.size
                yield item

        for item, finding in self._runner.run(partial(check_item, self._job), noted(), self._advance):
            del self._sizes[item.source.name]
            self._tally.take_back(item.source.name)
            yield item, finding or _lost(item)

    def _advance(self, advance: Advance) -> None:
        num_bytes = self._sizes[advance.source] * advance.share
        self._tally.advance(advance.source, num_bytes=num_bytes, seconds=advance.seconds)

    def _read_manifest(self) -> None:
        with open_file(self._place.locate(MANIFEST)) as file:
            self._catalogue.add_records(self._seen(read_manifest(file, self._place.locate(MANIFEST))))
        made_by = self._catalogue.all_of("fingerprint")
        if made_by and self._order.fingerprint not in made_by:
            raise DataError(f"'{self._target}' was made by another model, of fingerprint {made_by[0]}: give --model")
        if any(" tokens" in settings for settings in self._catalogue.all_of("settings")):
            raise DataError(f"'{self._target}' holds tokens; what is verified is containers or audio")

    def _seen(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            self._tally.see(record.source_bytes)
            yield record

    def _look_at_target(self) -> None:
        sizes = self._place.sizes(skip=STATE_FOLDER)
        self._catalogue.add_files((name, size) for name, size in sizes if name not in _OTHERS)

    def _items(self) -> Iterator[Item]:
        """Yield what is to be checked, and write down what is wrong before any check."""
        settings = Settings(decode="decode" in self._catalogue.all_of("settings"))
        for entry in open_source(self._order.source).entries():
            if not settings.takes(entry.name):
                continue
            record = self._catalogue.take(entry.name)
            if record is not None:
                found = self._item(record, entry)
                if isinstance(found, Item):
                    yield found
                else:
                    self._put(found)
            elif not self._catalogue.is_known(entry.name):
                self._put(Finding(source=entry.name, status="missing", reason="it was not transcoded: transcode again"))

    def _item(self, record: Record, entry: Entry) -> Item | Finding:
        """Return what is to be checked of a source, or why nothing can be."""
        name = record.shard or record.output
        size = None if name is None else self._catalogue.size(name)
        if record.status == "done" and entry.refusal is None and name is not None and size is not None:
            return self._pair(record, entry, name, size)
        reason = entry.refusal or "its output is not there: transcode again"
        if record.status == "failed":
            reason = f"it was not transcoded: {record.reason}"
        return Finding(source=record.source, output=_output(record), status="failed", reason=reason)

    def _pair(self, record: Record, entry: Entry, name: str, size: int) -> Item:
        locator = Locator(url=self._place.locate(name))
        if record.shard is not None:
            size = record.output_bytes or 0
            locator = replace(locator, kind="tar", position=record.position or 0)
        return Item(
            source=entry,
            output=Entry(name=_output(record) or name, size=size, stamp="", locator=locator),
            member=record.output if record.shard is not None else None,
            source_sha256=record.source_sha256 or "",
            output_sha256=record.output_sha256 or "",
            decode=record.settings == "decode",
        )

    def _put(self, finding: Finding, source: Entry | None = None) -> None:
        """Write down what was found; what may still be repaired is no failure yet."""
        self._catalogue.put(finding, source)
        good = finding.status == "ok" or (finding.below and self._order.repair_quantizers is not None)
        shown = Record(
            source=finding.name,
            output=finding.output,
            status="done" if good else "failed",
            settings="",
            fingerprint="",
            source_bytes=0 if source is None else source.size,
            source_stamp="",
            seconds=finding.seconds,
            reason=finding.reason,
        )
        self._tally.settle(shown, worked=True)

    def _find_others(self) -> None:
        """Write down what has a record but no source, and what has no record."""
        for record in self._catalogue.unseen():
            reason = f"it was not transcoded: {record.reason}" if record.status == "failed" else "its source is gone"
            self._put(Finding(source=record.source, output=_output(record), status="failed", reason=reason))
        for name in self._catalogue.strays():
            self._put(Finding(output=name, status="stray", reason="no record of the manifest names it"))

    def _check_wholes(self) -> None:
        """Check shards, which are more than their records, and the bag that the target may be."""
        for shard, end in self._catalogue.shard_ends():
            size = self._catalogue.size(shard)
            if size is not None and size != end + len(END):
                reason = f"the shard has {size} bytes, its records {end + len(END)}: remove it, and transcode again"
                self._put(Finding(output=shard, status="failed", reason=reason))
        if isinstance(self._place, LocalPlace) and is_bag(root := Path(self._order.target)):
            try:
                check_bag(root)
            except DataError as error:
                self._put(Finding(output=DECLARATION, status="failed", reason=str(error)))

    def _repair(self, stages: int) -> None:
        """Encode again what misses a floor, and check it again."""
        self._tally.stage = "encoding again"
        order = Order(
            source=self._order.source,
            target=self._target,
            package=self._order.package,
            fingerprint=self._order.fingerprint,
            settings=Settings(num_quantizers=stages),
        )
        names = repair(order, self._place, self._catalogue, self._engine)
        with open_file(self._place.locate(MANIFEST)) as file:
            self._catalogue.add_records(read_manifest(file, self._place.locate(MANIFEST)))
        self._look_at_target()
        refresh(self._order.target)
        items = (item for name in names for item, _ in self._checked(self._catalogue.finding(name)))
        for item, finding in self._check(items):
            before = self._catalogue.finding(item.source.name)
            repaired = Before(
                measured_kbps=before.measured_kbps or 0.0, si_sdr_db=before.si_sdr_db, visqol=before.visqol
            )
            self._catalogue.put(replace(finding, repaired=repaired), item.source)
        for finding in self._catalogue.findings(below=True):
            record, _ = self._catalogue.checked(finding)
            self._tally.done -= 1
            self._tally.settle(replace(record, status="failed", reason=finding.reason, source_bytes=0), worked=True)

    def _checked(self, finding: Finding) -> Iterator[tuple[Item, Finding]]:
        """Yield a file that was checked, with what was found, if it is still there."""
        found = self._item(*self._catalogue.checked(finding))
        if isinstance(found, Item):
            yield found, finding

    def _report(self) -> Summary:
        summary = Summary()
        for finding in self._catalogue.findings():
            summary.add(finding)
        if (folder := self._order.report) is not None:
            worst = summary.worst()
            pairs = (pair for finding in worst for pair in self._checked(finding))
            cut = self._runner.run(partial(cut_excerpt, self._job), pairs, self._advance)
            excerpts = {finding.name: excerpt for (_, finding), excerpt in cut}
            write_lines(folder, self._catalogue.findings())
            title = f"Verification of {self._order.target}"
            heard = [(finding, excerpts.get(finding.name)) for finding in worst]
            write_page(folder, summary, self._order.floors, heard, title)
        return summary


def _output(record: Record) -> str | None:
    """Return the name in DST of a record's output, which in a shard begins with the shard's."""
    return record.output if record.shard is None or record.output is None else f"{record.shard}/{record.output}"


def _lost(item: Item) -> Finding:
    reason = "it kills the process that checks it: look at it"
    return Finding(source=item.source.name, output=item.output.name, status="failed", reason=reason)
