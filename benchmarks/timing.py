"""Median times of things done in turn, so that a machine whose speed drifts treats all alike."""

import statistics
import sys
import time
from collections.abc import Callable, Mapping


def median_seconds(actions: Mapping[str, Callable[[], object]], runs: int = 5, what: str = "") -> dict[str, float]:
    """Run every action once to warm up, then all in turn `runs` times; return each one's median seconds.

    `what` is being measured, for a line of progress on stderr.
    """
    times: dict[str, list[float]] = {name: [] for name in actions}
    for run in range(runs + 1):
        for name, action in actions.items():
            if what:
                print(f"{what}: {name}, {f'run {run} of {runs}' if run else 'warming up'}", file=sys.stderr)
            start = time.perf_counter()
            action()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[1:]) for name, values in times.items()}
