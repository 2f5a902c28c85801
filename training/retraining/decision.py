"""How a retraining ended, and why."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from codec.errors import RunError

Outcome = Literal["promoted", "rejected", "refused"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """How a retraining ended: `candidate` and `production` are versions of `model`, the latter as it was before.

    Refused audio was not trained on, so there is no candidate.
    """

    model: str
    outcome: Outcome
    candidate: int | None
    production: int
    reasons: tuple[str, ...]
    folder: Path

    @property
    def promoted(self) -> bool:
        """Whether the candidate replaced production."""
        return self.outcome == "promoted"

    @property
    def sentence(self) -> str:
        """The decision in a line."""
        trained = f"{self.model}:{self.candidate} (from version {self.production})"
        what = f"the new audio for {self.model}" if self.candidate is None else trained
        return f"{self.outcome} {what}: {'; '.join(self.reasons)}"

    def to_json(self) -> str:
        """Return the decision as JSON."""
        return json.dumps(asdict(self), indent=2, default=str) + "\n"

    @classmethod
    def read(cls, path: Path) -> Decision:
        """Read what `to_json` gave.

        Raises:
            RunError: The file is missing or damaged.
        """
        try:
            data = json.loads(path.read_text())
            return cls(**data | {"reasons": tuple(data["reasons"]), "folder": Path(data["folder"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RunError(f"'{path}' is no decision of a retraining ({error})") from None
