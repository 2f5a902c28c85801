"""What a run knows when it begins: the manifest, the state that a run before it left, and what parts left."""

from __future__ import annotations

import shutil
from pathlib import Path

from serving.transcode.home import PARTS, check_idle, part_folders, state_folder
from serving.transcode.manifest import MANIFEST, read_manifest
from serving.transcode.order import Order
from serving.transcode.place import Place, open_file
from serving.transcode.sinks.shards import STAGING
from serving.transcode.sources.folder import STATE_FOLDER
from serving.transcode.state import STATE_FILES, State


def recall(order: Order, place: Place, state: State, folder: Path) -> None:
    """Bring the state in `folder` up to date; what parts left is in it afterwards, and no more where it was.

    Raises:
        DataError: A manifest is damaged.
    """
    parts = [] if order.part else [name for name, _ in place.sizes(under=PARTS)]
    folders = [] if order.part else part_folders(folder)
    with state.transaction(durable=True):
        if state.is_empty():
            _adopt(place, state, MANIFEST)
            if order.part:
                _adopt(place, state, f"{PARTS}/{order.part}.jsonl")
        for name in parts:
            _adopt(place, state, name)
        for part in folders:
            with State.open(part) as other:
                state.absorb(other)
    for name in parts:
        place.remove(name)
    for part in folders:
        shutil.rmtree(part)


def copy_state(order: Order, place: Place, folder: Path) -> None:
    """Copy the state that a run left, if one was stopped, into `folder`.

    Raises:
        NacreError: A run is at work.
    """
    left = state_folder(order.target, place, order.part)
    check_idle(order, place)
    for name in STATE_FILES:
        if (left / name).exists():
            shutil.copyfile(left / name, folder / name)


def recall_for_reading(place: Place, state: State) -> None:
    """Fill a state, new or copied, with what a run would know, and leave everything else as it is.

    Raises:
        DataError: A manifest is damaged.
    """
    with state.transaction():
        if state.is_empty():
            _adopt(place, state, MANIFEST)
        for name in sorted(name for name, _ in place.sizes(under=PARTS)):
            _adopt(place, state, name)


def look_at_target(order: Order, place: Place, state: State) -> None:
    """Write down what DST holds."""
    state.forget_present()
    state.note_present(place.sizes(skip=STATE_FOLDER))
    if order.settings.sink != "tree":
        state.note_present(place.sizes(under=STAGING))


def _adopt(place: Place, state: State, name: str) -> None:
    if place.size(name) is not None:
        with open_file(place.locate(name)) as file:
            state.adopt(read_manifest(file, place.locate(name)))
