"""What processes are called with, apart from check.py: so only those who check load the library of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.transcode.verify.finding import Finding
from serving.transcode.verify.items import CheckJob, Item
from serving.transcode.work import Tell

if TYPE_CHECKING:
    from serving.transcode.verify.excerpt import Excerpt


def check_item(job: CheckJob, item: Item, tell: Tell) -> Finding:
    """As `check.check_item`."""
    from serving.transcode.verify.check import check_item

    return check_item(job, item, tell)


def cut_excerpt(job: CheckJob, found: tuple[Item, Finding], _: Tell) -> Excerpt | None:
    """As `check.cut_excerpt`, which is soon done."""
    from serving.transcode.verify.check import cut_excerpt

    return cut_excerpt(job, found)
