"""Actors of one run: hired while tasks wait, fed so that none is idle, and mourned when they die.

Actors beyond what the cluster has room for stay pending: that is what an autoscaler sees as demand, and how nodes that
join later get work. An actor's process that dies may have been killed by a file. One whose node went was not, so that
its tasks go to others, unless that happens to a task again and again.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from codec.errors import NacreError
from serving.transcode.engines import Batch, Died
from serving.transcode.engines.local import MAX_STILLBORN
from serving.transcode.engines.ray_actor import RayActor, Ready, pack
from serving.transcode.engines.ray_reach import Reach, why_unread
from serving.transcode.entry import Entry
from serving.transcode.place import open_place
from serving.transcode.work import Job, News, Outcome, Task

# Nodes that may go with a task before it counts as what killed its worker.
MAX_NODES_LOST = 2
_PATIENCE_S = 60.0

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Hand:
    """An actor, the stream of what it says, the nodes on one of which it is, and the tasks that it has."""

    actor: Any
    stream: Any
    nodes: frozenset[str]
    ready: bool = False
    tasks: dict[str, Task] = field(default_factory=dict)


class RayPool:
    """Does a job with at most `most` actors, None for all there is room for; `alone` as in `Engine.run`."""

    def __init__(self, job: Job, reach: Reach, *, most: int | None, alone: bool) -> None:
        import ray

        self._ray = ray
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        self._unit = "GPU" if gpus or job.device != "cpu" else "core"
        self._job = replace(job, device="cuda") if self._unit == "GPU" else job  # the one that Ray lets it see
        self._room = gpus or int(resources.get("CPU", 0))
        self._few = 0 if alone else self._job.files_at_once
        self._reach = reach
        self._most = most
        self._alone = alone
        self._hands: list[_Hand] = []
        self._waiting: deque[Batch] = deque()
        self._exhausted = False
        self._shipment: Any = None
        self._stillborn = 0
        self._nodes_lost: Counter[str] = Counter()

    def run(self, batches: Iterator[Batch]) -> Iterator[News | Died]:
        """As `Engine.run`."""
        while True:
            self._feed(batches)
            if not self._waiting and not any(hand.tasks for hand in self._hands):
                return
            for hand in self._heard():
                yield from self._hear(hand)

    def close(self) -> None:
        """Kill all actors, those that are still pending too."""
        while self._hands:
            self._kill(self._hands.pop())

    def _feed(self, batches: Iterator[Batch]) -> None:
        """Give batches to whoever has little to do, the idlest first; at most one waits for somebody to be there."""
        while self._peek(batches):
            idlest = min((hand for hand in self._hands if hand.ready), key=lambda hand: len(hand.tasks), default=None)
            if idlest is None or len(idlest.tasks) > self._few:
                self._hire()
                return
            batch = self._waiting.popleft()
            idlest.tasks |= {task.entry.name: task for task in batch}
            # With no result there is none whose loss Ray would report beside ours.
            idlest.actor.give.options(num_returns=0).remote(list(batch))

    def _peek(self, batches: Iterator[Batch]) -> bool:
        """Make sure that a batch waits, if there is one."""
        later = self._alone and any(hand.tasks for hand in self._hands)
        if not (self._waiting or self._exhausted or later):
            batch = next(batches, None)
            self._exhausted = batch is None
            self._waiting.extend([batch] if batch else [])
        return bool(self._waiting)

    def _hire(self) -> None:
        """Ask for actors: as many as there is room for, and for as many again as there are."""
        wanted = max(self._room, 2 * sum(hand.ready for hand in self._hands), 1)
        wanted = wanted if self._most is None else min(wanted, self._most)
        nodes = self._nodes() if wanted > len(self._hands) else frozenset()
        for _ in range(len(self._hands), wanted):
            actor = self._actor_class().remote()
            stream = actor.work.options(num_returns="streaming").remote(self._shipped())
            self._hands.append(_Hand(actor, stream, nodes))

    def _actor_class(self) -> Any:
        # Ray must neither restart nor repeat anything. One thread works while another takes tasks.
        rules = {"max_restarts": 0, "max_task_retries": 0, "max_concurrency": 2}
        return self._ray.remote(RayActor).options(num_cpus=1, num_gpus=int(self._unit == "GPU"), **rules)

    def _shipped(self) -> Any:
        """Return the shipment in Ray's store, from where each node fetches it once."""
        if self._shipment is None:
            self._shipment = self._ray.put(pack(self._job, self._reach, self._sample()))
        return self._shipment

    def _sample(self) -> Entry | None:
        entries = (task.entry for task in self._waiting[0])
        return next((entry for entry in entries if why_unread(entry) is None), None)

    def _heard(self) -> list[_Hand]:
        """Wait until an actor says something, and return all that did."""
        streams = {hand.stream: hand for hand in self._hands}
        while not self._ray.wait(list(streams), num_returns=1, timeout=_PATIENCE_S)[0]:
            if not any(hand.ready for hand in self._hands):
                _log.warning("waiting for the cluster to have a free %s", self._unit)
        return [streams[stream] for stream in self._ray.wait(list(streams), num_returns=len(streams), timeout=0)[0]]

    def _hear(self, hand: _Hand) -> Iterator[News | Died]:
        errors = self._ray.exceptions
        try:
            message = self._ray.get(next(hand.stream))
        except errors.RayTaskError as error:
            raise error.cause if isinstance(error.cause, NacreError) else NacreError(_last_line(error)) from None
        except errors.RayError as error:
            yield from self._bury(hand, error)
            return
        if isinstance(message, Ready):
            hand.ready, hand.nodes, self._stillborn = True, frozenset({message.node}), 0
            return
        if isinstance(message, Outcome):
            del hand.tasks[message.source]
        yield message

    def _bury(self, hand: _Hand, error: Exception) -> Iterator[Died]:
        """Let an actor go, and see to its tasks."""
        self._hands.remove(hand)
        self._kill(hand)  # it may live on where it can't be reached
        lost = self._lost_node(hand, error)
        if not hand.ready:
            self._stillborn += not lost
            if self._stillborn >= MAX_STILLBORN:
                reason = _last_line(error).partition(". ")[0]
                raise NacreError(
                    f"workers die before they have loaded the model ({reason}): has each node Nacre and memory enough?"
                )
            return
        again: list[Task] = []
        died: list[Task] = []
        for name, task in hand.tasks.items():
            self._nodes_lost[name] += lost
            (again if lost and self._nodes_lost[name] <= MAX_NODES_LOST else died).append(task)
        if again:
            open_place(self._job.target).clean(task.payload for task in again)
            self._waiting.appendleft(again)
        if died:
            yield Died(tuple(died))

    def _lost_node(self, hand: _Hand, error: Exception) -> bool:
        """Tell whether an actor was lost with its node; of one whose process alone died Ray knows that it did."""
        if not isinstance(error, self._ray.exceptions.ActorDiedError) or error.preempted:
            return True
        return not hand.nodes <= self._nodes()

    def _nodes(self) -> frozenset[str]:
        """Return the nodes that there are now."""
        return frozenset(node["NodeID"] for node in self._ray.nodes() if node["Alive"])

    def _kill(self, hand: _Hand) -> None:
        with suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.kill(hand.actor)


def _last_line(error: BaseException) -> str:
    return str(error).strip().rpartition("\n")[2].strip()
