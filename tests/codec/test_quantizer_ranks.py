"""Two gloo ranks learn the codebooks that one process learns on the joint batch; run as a script, this is one rank."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
import torch.distributed

from codec.config import QuantizerConfig
from codec.quantizer import ResidualVectorQuantizer

WORLD = 2
ITEMS = 2  # per rank


def train(part):
    """Train on `part` of each joint batch, with revivals at nearly every step."""
    config = QuantizerConfig(num_quantizers=3, codebook_size=16, ema_decay=0.9, dead_share=0.5)
    quantizer = ResidualVectorQuantizer(config, 8).train()
    quantizer.initialize(joint_batch(0))
    for step in range(20):
        latents = joint_batch(step)[part]
        quantizer(latents, torch.full((len(latents),), 3))
    return quantizer.state_dict()


def joint_batch(step):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(WORLD * ITEMS, 8, 25, generator=generator) * torch.linspace(0.2, 2, 8)[:, None]


def main(rank, port, out):
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=WORLD)
    torch.save(train(slice(rank * ITEMS, (rank + 1) * ITEMS)), out)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_ranks_learn_what_one_does_on_the_joint_batch(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    files = [tmp_path / f"{rank}.pt" for rank in range(WORLD)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    processes = [
        subprocess.Popen([sys.executable, __file__, str(rank), str(port), str(out)], env=environment)
        for rank, out in enumerate(files)
    ]
    assert [process.wait(120) for process in processes] == [0, 0]
    ranks = [torch.load(out, weights_only=True) for out in files]
    for name, value in train(slice(None)).items():
        assert torch.equal(ranks[0][name], ranks[1][name]), name
        torch.testing.assert_close(ranks[0][name], value, atol=1e-4, rtol=1e-4)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
