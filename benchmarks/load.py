"""Load on an HTTP service: clients that each send the next request when the last was answered, from one process.

    python benchmarks/load.py URL FILE [FILE...] --clients 16 --seconds 10 [--form]

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


async def client(
    session: aiohttp.ClientSession, url: str, bodies: Iterator[Any], until: float, answers: list[Answer]
) -> None:
    """Send until `until`; append (status, when it began, seconds) of each request."""
    while (start := time.perf_counter()) < until:
        try:
            async with session.post(url, data=next(bodies)) as response:
                await response.read()
                status, wait = str(response.status), response.headers.get("Retry-After")
        except aiohttp.ClientError:
            status, wait = "broken", None
        answers.append((status, start, time.perf_counter() - start))
        if status in ("429", "503"):
            if wait is None:
                answers.append(("no_retry_after", start, 0.0))
            await asyncio.sleep(0.05)


async def load(url: str, files: Sequence[Path], arguments: argparse.Namespace) -> dict[str, Any]:
    """Send from all clients at once; what ended within the warm-up isn't counted."""
    clients, seconds, warm_up = arguments.clients, arguments.seconds, arguments.warm_up
    answers: list[Answer] = []
    begin = time.perf_counter()
    contents = itertools.cycle([path.read_bytes() for path in files])
    shared = ({"file": content} for content in contents) if arguments.form else contents
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(120)) as session:
        until = begin + warm_up + seconds
        await asyncio.gather(*(client(session, url, shared, until, answers) for _ in range(clients)))
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
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--form", action="store_true", help="send the form field `file` instead of a raw body")
    parser.add_argument("--warm-up", type=float, default=2)
    arguments = parser.parse_args()
    result = asyncio.run(load(arguments.url, arguments.files, arguments))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
