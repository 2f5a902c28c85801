"""The watch on codebooks: one warning when a stage collapses, and no other before it has recovered."""

from __future__ import annotations

import sys
from typing import Any, cast

import lightning as L
from lightning.pytorch.callbacks import Callback

from codec.health import COLLAPSED_SHARE, CodebookHealth, has_collapsed
from codec.model import Codec

# Entries that are revived together lift a collapsed stage a little above the threshold, for a while.
RECOVERED_SHARE = 2 * COLLAPSED_SHARE


class CodebookWatch(Callback):
    """Look at each stage whenever values are logged, and warn on stderr, from rank 0."""

    def __init__(self) -> None:
        self._collapsed: set[int] = set()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Warn of what has collapsed since the last look."""
        every: int = cast(Any, trainer).log_every_n_steps
        quantizer = cast(Codec, pl_module.codec).quantizer
        if not trainer.is_global_zero or trainer.global_step % every or not bool(quantizer.initialized):
            return
        for line in self.warnings(quantizer.health(), quantizer.config.codebook_size, trainer.global_step):
            # sys.stderr is looked up now: while a bar is drawn, rich stands there and prints above it.
            print(line, file=sys.stderr, flush=True)

    def warnings(self, health: CodebookHealth, codebook_size: int, step: int) -> list[str]:
        """Return a line for each stage that has collapsed and was well before."""
        perplexities = health.perplexity.tolist()
        collapsed = {stage for stage, value in enumerate(perplexities) if has_collapsed(value, codebook_size)}
        fresh = sorted(collapsed - self._collapsed)
        waiting = {stage for stage in self._collapsed if perplexities[stage] < RECOVERED_SHARE * codebook_size}
        self._collapsed = collapsed | waiting
        return [
            f"warning: codebook {stage} has collapsed at step {step}: train/codebook/perplexity_{stage} is"
            f" {perplexities[stage]:.1f}, below {COLLAPSED_SHARE:.0%} of its {codebook_size} entries;"
            " if it stays so, lower the learning rate, or use a smaller codebook or fewer stages"
            for stage in fresh
        ]
