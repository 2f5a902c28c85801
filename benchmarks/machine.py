"""The machine that a benchmark ran on, in one line."""

import os
import platform
from pathlib import Path

import torch


def describe_machine() -> str:
    """Return processor, number of cores and version of torch."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = models[0] if models else platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores, torch {torch.__version__}"
