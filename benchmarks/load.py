"""Load on an HTTP service from one process: clients that each send the next request when the last was answered, or
requests that come at a rate, whatever becomes of the ones before.

    python benchmarks/load.py URL FILE [FILE...] --clients 16 --seconds 10 [--form]
    python benchmarks/load.py URL FILE [FILE...] --rate 300 --seconds 10

Prints one JSON object: requests a second, latencies in ms, and how often each status was answered; `broken` counts
connections that ended without an answer.
"""

import argparse
import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

# A status, when the request began, and the seconds that it took.
Answer = tuple[str, float, float]
REFUSALS = ("429", "503")


async def ask(session: aiohttp.ClientSession, url: str, body: Any, answers: list[Answer]) -> str:
    """Send one request, append what became of it, and return its status."""
    start = time.perf_counter()
    try:
        async with session.post(url, data=body) as response:
            await response.read()
            status, wait = str(response.status), response.headers.get("Retry-After")
    except aiohttp.ClientError:
        status, wait = "broken", None
    answers.append((status, start, time.perf_counter() - start))
    if status in REFUSALS and wait is None:
        answers.append(("no_retry_after", start, 0.0))
    return status


async def client(
    session: aiohttp.ClientSession, url: str, bodies: Iterator[Any], until: float, answers: list[Answer]
) -> None:
    """Send one request after the other until `until`, soon again after a refusal."""
    while time.perf_counter() < until:
        if await ask(session, url, next(bodies), answers) in REFUSALS:
            await asyncio.sleep(0.05)


async def arrive(
    session: aiohttp.ClientSession, url: str, bodies: Iterator[Any], until: float, answers: list[Answer], rate: float
) -> None:
    """Send `rate` requests a second until `until`, and wait for all answers."""
    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in itertools.count():
            due = begin + number / rate
            if due >= until:
                return
            await asyncio.sleep(due - time.perf_counter())
            group.create_task(ask(session, url, next(bodies), answers))


async def load(url: str, files: Sequence[Path], arguments: argparse.Namespace) -> dict[str, Any]:
    """Send as asked; what ended within the warm-up isn't counted."""
    seconds, warm_up = arguments.seconds, arguments.warm_up
    answers: list[Answer] = []
    begin = time.perf_counter()
    contents = itertools.cycle([path.read_bytes() for path in files])
    shared = ({"file": content} for content in contents) if arguments.form else contents
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(600)) as session:
        until = begin + warm_up + seconds
        if arguments.rate:
            await arrive(session, url, shared, until, answers, arguments.rate)
        else:
            await asyncio.gather(*(client(session, url, shared, until, answers) for _ in range(arguments.clients)))
    counted = [answer for answer in answers if answer[1] + answer[2] >= begin + warm_up]
    elapsed = time.perf_counter() - begin - warm_up
    good = np.array([spent for status, _, spent in counted if status == "200"]) * 1000
    percentiles = (
        dict(zip(("p50_ms", "p99_ms"), np.percentile(good, (50, 99)).tolist(), strict=True)) if len(good) else {}
    )
    return {"rps": len(good) / elapsed, **percentiles, "answers": dict(Counter(status for status, *_ in counted))}


def main() -> None:
    """Read the command line, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rate", type=float, help="requests a second, instead of clients that wait")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--form", action="store_true", help="send the form field `file` instead of a raw body")
    parser.add_argument("--warm-up", type=float, default=2)
    arguments = parser.parse_args()
    result = asyncio.run(load(arguments.url, arguments.files, arguments))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
