"""Train twice, small and large, and print by how many bytes the second raised the peak: `script SMALL LARGE OUT`.

Run as a program, whose peak is its own; not a test module.
"""

import re
import sys
import warnings
from pathlib import Path

from training.cli import fit


def peak_bytes():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))


def main(small, large, out):
    warnings.simplefilter("ignore")
    fit(["--config", small], run_dir=out / "small")
    before = peak_bytes()
    fit(["--config", large], run_dir=out / "large")
    print(peak_bytes() - before)


if __name__ == "__main__":
    main(*sys.argv[1:3], Path(sys.argv[3]))
