"""Workers that die and runs that are killed: what is innocent is done, and what kills is left alone."""

import multiprocessing
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from codec.errors import NacreError
from serving.transcode.coordinator import transcode
from serving.transcode.engines import Died
from serving.transcode.engines.inline import InlineEngine
from serving.transcode.engines.local import LocalEngine
from serving.transcode.sources import open_source
from serving.transcode.work import Job, Task
from transcoding import ENCODE, make_order, records, tree


@dataclass(frozen=True)
class Deadly:
    """Stands for an entry; whoever unpickles it is gone."""

    name: str

    def __reduce__(self):
        return os._exit, (9,)


class Poisoned(LocalEngine):
    """Gives workers files that kill them."""

    def __init__(self, names, workers=1):
        super().__init__(workers)
        self.names = names
        self.deaths = []

    def run(self, job, batches, *, alone=False):
        poisoned = ([self.poison(task) for task in batch] for batch in batches)
        for happening in super().run(job, poisoned, alone=alone):
            if isinstance(happening, Died):
                self.deaths.append({task.entry.name for task in happening.tasks})
            yield happening

    def poison(self, task):
        if task.entry.name in self.names:
            return Task(entry=Deadly(task.entry.name), payload=task.payload)
        return task


class Dying(InlineEngine):
    """Does as if a worker had died of certain files, at every try or the first."""

    def __init__(self, model, names, once=False):
        super().__init__(model)
        object.__setattr__(self, "names", set(names))
        object.__setattr__(self, "once", once)

    def run(self, job, batches, *, alone=False):
        for batch in batches:
            dead = [task for task in batch if task.entry.name in self.names]
            if dead:
                if self.once:
                    self.names.difference_update(task.entry.name for task in dead)
                yield Died(tuple(batch))
            else:
                yield from super().run(job, iter([batch]), alone=alone)


@pytest.fixture
def clips(tmp_path, make_audio):
    root = tmp_path / "clips"
    root.mkdir()
    for index in range(12):
        (root / f"{index:02d}.wav").write_bytes(make_audio(seconds=0.1, seed=index))
    return root


@pytest.fixture
def job(package, tmp_path):
    return Job(package=package, settings=ENCODE, target=str(tmp_path / "out"), scratch=tmp_path / "scratch")


def tasks(folder):
    return [Task(entry=entry, payload=f"{entry.name}.nac") for entry in open_source(str(folder)).entries()]


def test_a_file_that_kills_real_workers_is_quarantined_after_two_tries(run, clips, tmp_path):
    engine = Poisoned({"03.wav"})
    tally = run(clips, tmp_path / "out", engine=engine)
    assert (tally.done, tally.failed, tally.quarantined) == (11, 1, 1)
    assert [("03.wav" in names) for names in engine.deaths] == [True, True]
    assert engine.deaths[-1] == {"03.wav"}
    record = records(tmp_path / "out")["03.wav"]
    assert (record["status"], record["quarantined"]) == ("failed", True)
    assert "kills" in record["reason"]
    assert not list((tmp_path / "out").rglob(".nacre*"))


def test_what_is_quarantined_is_left_alone_until_it_changes_or_it_is_asked_for(run, model, clips, tmp_path, make_audio):
    target = tmp_path / "out"
    assert run(clips, target, engine=Dying(model, {"03.wav", "07.wav"})).quarantined == 2
    again = run(clips, target)
    assert (again.done, again.unchanged, again.failed, again.quarantined) == (0, 10, 2, 2)
    (clips / "07.wav").write_bytes(make_audio(seconds=0.1, seed=77))
    assert (run(clips, target).done, run(clips, target).quarantined) == (1, 1)
    tally = run(clips, target, retry_quarantined=True)
    assert (tally.done, tally.failed) == (1, 0)


def test_who_was_beside_a_death_is_innocent(run, model, clips, tmp_path):
    run(clips, tmp_path / "clean")
    tally = run(clips, tmp_path / "out", engine=Dying(model, {"03.wav"}, once=True))
    assert (tally.done, tally.failed) == (12, 0)
    assert tree(tmp_path / "out") == tree(tmp_path / "clean")


def test_a_workers_death_takes_only_its_own_tasks(job, clips):
    works = tasks(clips)
    running = LocalEngine(1).run(job, iter([works[:4], works[4:8], works[8:10], works[10:]]))
    seen = [next(running)]
    (worker,) = multiprocessing.active_children()
    worker.kill()
    seen += list(running)
    died = [task.entry.name for happening in seen if isinstance(happening, Died) for task in happening.tasks]
    done = [happening.source for happening in seen if not isinstance(happening, Died)]
    assert sorted(died + done) == [task.entry.name for task in works]
    assert died
    assert done


def test_closing_an_engine_leaves_no_worker(job, clips):
    running = LocalEngine(1).run(job, iter([tasks(clips)]))
    next(running)
    assert len(multiprocessing.active_children()) == 1
    running.close()
    assert not multiprocessing.active_children()


def test_a_model_that_cannot_be_loaded_is_one_sentence(run, model, clips, tmp_path):
    order = replace(make_order(model, clips, tmp_path / "out"), package=tmp_path / "no package")
    with pytest.raises(NacreError, match="package"):
        transcode(order, LocalEngine(1))
    assert run(clips, tmp_path / "out").done == 12


KILLED = """
import os, sys
from pathlib import Path
sys.path[:0] = [{root!r}, {tests!r}]
from serving.transcode.coordinator import transcode
from serving.transcode.order import Order
from serving.transcode.settings import Settings
from serving.transcode.work import Outcome

class Engine:
    def run(self, job, batches, *, alone=False):
        for batch in batches:
            for task in batch:
                if task.entry.name == "03.wav":
                    os._exit(9)
                Path(job.target, task.payload).write_bytes(b"x")
                yield Outcome(source=task.entry.name, status="done", seconds=0.1, output_bytes=1, output_sha256="0")

order = Order(source={source!r}, target={target!r}, package=Path("none"), fingerprint="0", settings=Settings())
tally = transcode(order, Engine())
print(tally.done, tally.failed, tally.quarantined)
"""


def test_a_file_that_kills_whole_runs_is_quarantined(clips, tmp_path):
    tests = Path(__file__).parents[2]
    code = KILLED.format(root=str(tests.parent), tests=str(tests), source=str(clips), target=str(tmp_path / "out"))
    ends = []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        ends.append((done.returncode, done.stdout.strip()))
    assert [code for code, _ in ends] == [9, 9, 9, 9, 0], ends
    assert ends[-1][1].endswith(" 1 1")
    found = records(tmp_path / "out")
    assert [name for name in found if found[name]["status"] == "failed"] == ["03.wav"]
    assert len(tree(tmp_path / "out")) == 12
