"""Train a tiny codec on a fixed joint batch with N ranks: `script OUT RANKS PRECISION RECIPE`.

Each rank saves its weights, live and averaged, and the bytes that each step sent to the other ranks for each network.

Run as a program (Lightning starts the further ranks by running it again); not a test module.
"""

import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import lightning as L  # noqa: N812  # the field's name for it
import torch
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel

from codec.config import CodecConfig, QuantizerConfig
from codec.nacre.config import NacreConfig
from training.callbacks import AveragedWeights, StepState
from training.config import DiscriminatorConfig, LossConfig, OptimizerConfig, QuantizerTraining
from training.discriminators.config import PeriodConfig, SmallConfig, STFTConfig
from training.keyed_random import keyed_generator
from training.module import CodecTrainer
from training.strategy import SplitDDPStrategy, wrapped

STEPS = 8
JOINT_BATCH = 4
SEGMENT = 1600
# Of this world's noise. Ranks agree within 1e-6 in most; about one in five meets a tie of two codes, or a spectrum so
# near zero that its gradient multiplies rounding by a thousand.
WORLD = 2
SMALL = SmallConfig(windows=(256,), width=4)


class Clip(NamedTuple):
    key: str
    audio: torch.Tensor


def synthetic(purpose, step, count):
    draws = torch.randn(count, 1, SEGMENT, generator=keyed_generator(WORLD, purpose, step)) * 0.1
    return draws + 0.2 * torch.sin(torch.arange(SEGMENT) * 0.05 * (1 + step % 3))


class JointBatches(L.LightningDataModule):
    """Each rank takes its rows of the joint batch of each step."""

    sample_rate, channels, index_sha256 = 16_000, 1, "0" * 64

    def train_dataloader(self):
        share = JOINT_BATCH // self.trainer.world_size
        first = self.trainer.global_rank * share
        batches = [synthetic("batch", step, JOINT_BATCH)[first : first + share] for step in range(STEPS)]
        return torch.utils.data.DataLoader(batches, batch_size=None)

    def val_dataloader(self):
        every = [Clip(str(i), synthetic("val", i, 1)) for i in range(3)]
        clips = every[self.trainer.global_rank :: self.trainer.world_size]
        return torch.utils.data.DataLoader(clips, batch_size=None)

    def calibration_audio(self, num_segments):
        return synthetic("calibration", 0, num_segments)

    def count_batch(self):
        pass


# Balanced losses, published discriminators at every second step, and the decoder alone in the end.
RECIPES = {
    "plain": ({}, {}, {}),
    "staged": (
        {"balanced": True},
        {
            "learning_share": 0.5,
            "stft": STFTConfig(windows=(256,), width=2),
            "period": PeriodConfig(periods=(2,), width=1),
        },
        {"decoder_only_step": 6},
    ),
}


class Witness(L.Callback):
    """Count the bytes of gradients that DDP sums over ranks, and keep the weights before they are averaged."""

    def __init__(self):
        self.sent = {name: [] for name in CodecTrainer.ddp_modules}
        self.live = {}

    def on_train_start(self, trainer, module):
        for name in self.sent:
            network = wrapped(module, name)
            if isinstance(network, DistributedDataParallel):
                network.register_comm_hook(name, self.count)

    def count(self, name, bucket):
        self.sent[name][-1] += bucket.buffer().nbytes
        return default_hooks.allreduce_hook(None, bucket)

    def on_train_batch_start(self, *_):
        for steps in self.sent.values():
            steps.append(0)

    def on_train_end(self, trainer, module):
        self.live = {name: tensor.clone() for name, tensor in module.state_dict().items()}


def main(out, ranks, precision, recipe):
    loss, discriminator, optimizer = RECIPES[recipe]
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    # With another seed a frame is so near between two codes that bf16 decides.
    torch.manual_seed(1)
    network = NacreConfig(width=16, expansion=2, encoder_blocks=1, decoder_blocks=2, level_bands=4)
    quantizer = QuantizerConfig(num_quantizers=3, codebook_size=8, ema_decay=0.9)
    module = CodecTrainer(
        codec=CodecConfig(name="tiny", hop_length=160, latent_dim=8, quantizer=quantizer, network=network),
        loss=LossConfig(mel_windows=(128, 512), mel_bands=(10, 40), stft_windows=(256,), **loss),
        discriminator=DiscriminatorConfig(
            start_step=4, lead_steps=1, segment_samples=800, small=SMALL, **discriminator
        ),
        optimizer=OptimizerConfig(warmup_steps=2, **optimizer),
        quantizer=QuantizerTraining(start_step=2, calibration_segments=8, dropout=(1, 2, 3)),
    )
    witness = Witness()
    trainer = L.Trainer(
        accelerator="cpu",
        precision=precision,
        devices=ranks,
        strategy=SplitDDPStrategy() if ranks > 1 else "auto",
        max_steps=STEPS,
        callbacks=[witness, StepState(0), AveragedWeights(0.9)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        val_check_interval=STEPS,
        log_every_n_steps=1,
    )
    trainer.fit(module, datamodule=JointBatches())
    saved = {
        "live": witness.live,
        "averaged": module.state_dict(),
        "metrics": module.validation_metrics,
        "sent": witness.sent,
        "sizes": {n: sum(p.nbytes for p in getattr(module, n).parameters()) for n in module.ddp_modules},
    }
    torch.save(saved, out / f"rank{trainer.global_rank}.pt")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
