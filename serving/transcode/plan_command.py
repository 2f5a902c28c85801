"""`nacre transcode plan`: what a run would do, take and cost."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from serving.transcode.options import Given, local_path, make_order, shared_options

if TYPE_CHECKING:
    from serving.transcode.estimate import Estimate

# Failing files that are named.
_SHOWN = 20


@click.command()
@shared_options
@click.option("--cost-per-hour", type=click.FloatRange(0), help="What all workers together cost an hour.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, up to a thousand failing files named.")
def plan(cost_per_hour: float | None, as_json: bool, **given: Any) -> None:
    """Say what transcoding SRC to DST would do, take and cost; write nothing, and decode nothing.

    \b
    Example:
      nacre transcode plan archive archive-nac --bitrate-kbps 6 --cost-per-hour 0.40

    It reads every header that there is work for, and lets the model work for a second to see how fast it is. Exits with
    1 if any file would fail.
    """
    shared = Given(**given)
    order, package = make_order(shared)
    target = local_path(order.target)
    if target is not None and (target / "bagit.txt").is_file():
        order = replace(order, target=str(target / "data"))
    from serving.transcode.estimate import estimate

    result = estimate(order, package)
    result.workers = shared.workers or (len(os.sched_getaffinity(0)) if shared.device == "cpu" else 1)
    result.cost_per_hour = cost_per_hour
    if result.to_do:
        from serving.transcode.speed import measure_speed

        result.speed = measure_speed(order)
    click.echo(json.dumps(result.to_dict(), indent=1) if as_json else describe(result))
    if result.failing:
        raise SystemExit(1)


def describe(result: Estimate) -> str:
    """Say it in lines."""
    from serving.transcode.progress import duration, size

    lines = [
        f"files        {result.files:,}: {result.to_do:,} to do, {result.unchanged:,} unchanged,"
        f" {result.failing:,} will fail; {result.ignored:,} others left",
        f"audio        {result.seconds / 3600:,.2f} h",
    ]
    for name, found in sorted(result.formats.items()):
        part = f"{found.files:,} files, {found.seconds / 3600:,.2f} h, {size(found.num_bytes)}"
        lines.append(f"  {name:<10} {part}")
    share = f", {result.bytes_after / result.bytes_before:.1%}" if result.bytes_before else ""
    lines.append(f"bytes        {size(result.bytes_before)} before, about {size(result.bytes_after)} after{share}")
    if result.work_seconds is not None and result.speed is not None:
        speed = f"{result.workers} workers at {result.speed:.0f} times real time each"
        lines.append(f"time         about {duration(result.work_seconds)}, with {speed}")
    if result.cost is not None:
        lines.append(f"cost         about {result.cost:,.2f}, at {result.cost_per_hour:,.2f} an hour")
    named = list(result.failures.items())[:_SHOWN]
    lines += [f"will fail    {name}: {reason}" for name, reason in named]
    if result.failing > len(named):
        lines.append(f"             and {result.failing - len(named):,} more: see --json")
    return "\n".join(lines)
