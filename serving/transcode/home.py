"""Where a run keeps its state: DST/.nacre, or for a DST at a URL a folder under NACRE_HOME; a part, a folder in that.

Only one run works on a DST at a time, or parts of it side by side; a lock goes with the process that holds it.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from codec.errors import NacreError
from codec.home import nacre_home
from codec.locking import is_locked, locked
from serving.transcode.order import Order, Part
from serving.transcode.place import LocalPlace, Place, open_place
from serving.transcode.sources.folder import STATE_FOLDER
from serving.transcode.status import STATUS

# What parts that are through leave for the run that joins them, under DST.
PARTS = f"{STATE_FOLDER}/parts"
_PART_PREFIX = "part-"
_TRIES, _WAIT_SECONDS = 20, 0.05


def state_folder(target: str, place: Place, part: Part | None = None) -> Path:
    """Return where the state of a run on `target` is kept; it may not exist yet."""
    if isinstance(place, LocalPlace):
        folder = place.root / STATE_FOLDER
    else:
        folder = nacre_home() / "transcodes" / hashlib.sha256(target.rstrip("/").encode()).hexdigest()[:16]
    return folder if part is None else folder / f"{_PART_PREFIX}{part}"


def status_path(order: Order) -> Path:
    """Return where a run's status file is kept, unless another place is named."""
    return state_folder(order.target, open_place(order.target), order.part) / STATUS


def remove_folder(folder: Path) -> None:
    """Remove a state's folder, in which the status may just be written."""
    for _ in range(_TRIES):
        try:
            shutil.rmtree(folder)
            return
        except OSError:
            time.sleep(_WAIT_SECONDS)
    shutil.rmtree(folder)


def part_folders(folder: Path) -> list[Path]:
    """Return the states of parts within the state of the whole."""
    return sorted(path for path in folder.glob(f"{_PART_PREFIX}*") if path.is_dir())


def check_idle(order: Order, place: Place) -> None:
    """Check that no run works on DST, or on the part.

    Raises:
        NacreError: One does.
    """
    if is_locked(_lock(order, place)) or (order.part and is_locked(state_folder(order.target, place, order.part))):
        raise _refusal(order)


@contextmanager
def held(order: Order, place: Place) -> Iterator[Path]:
    """Hold DST, or a part of it, and yield the state's folder.

    Raises:
        NacreError: Another run has it.
    """
    whole, lock, refusal = state_folder(order.target, place), _lock(order, place), _refusal(order)
    with ExitStack() as stack:
        if order.part is None:
            lock.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(lock, refusal))
            if any(is_locked(part) for part in part_folders(whole)):
                raise refusal
            whole.mkdir(parents=True, exist_ok=True)
            yield whole
            return
        folder = state_folder(order.target, place, order.part)
        folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(locked(folder, refusal))
        if is_locked(lock):
            raise refusal
        yield folder


def _lock(order: Order, place: Place) -> Path:
    return place.root if isinstance(place, LocalPlace) else state_folder(order.target, place)


def _refusal(order: Order) -> NacreError:
    return NacreError(f"another run is writing to '{order.target}': wait for its end")
