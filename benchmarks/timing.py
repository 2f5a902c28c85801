"""Median times of things done in turn, so that a machine whose speed drifts treats all alike."""

import statistics
import time
from collections.abc import Callable, Mapping


def median_seconds(actions: Mapping[str, Callable[[], object]], runs: int = 5) -> dict[str, float]:
    """Run every action once to warm up, then all in turn `runs` times; return each one's median seconds."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for action in actions.values():
        action()
    for _ in range(runs):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}
