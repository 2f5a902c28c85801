"""The W&B server that the settings name, and whether it answers: asked before what would wait for it without end."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wandb import Settings

REACH_SECONDS = 10


def wandb_settings() -> Settings:
    """Return W&B's settings, of the environment and its files."""
    from wandb.sdk import wandb_setup

    return wandb_setup.singleton().settings


def why_unreachable(url: str) -> str | None:
    """Return why the server can't be reached; None if it can."""
    try:
        with urllib.request.urlopen(url, timeout=REACH_SECONDS):  # noqa: S310  # the user's own setting
            return None
    except urllib.error.HTTPError:
        return None  # it has answered
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
