"""DDP with one wrapper per optimiser group.

Plain DDP fails on a GAN (each backward uses half of the parameters); `find_unused_parameters` is right but doubles the
traffic; wrapping each network on its own is right at the traffic of one. The LightningModule stays unwrapped, names the
networks in `ddp_modules`, and calls them through `wrapped`. Codebooks keep themselves equal (codec/quantizer.py), so no
buffers are broadcast.
"""

import warnings
from typing import cast

import torch
import torch.distributed as dist
from lightning import LightningModule
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from codec.distributed import world_size

_ATTRIBUTE = "_ddp_wrappers"


class SplitDDPStrategy(DDPStrategy):
    """Wrap each of the module's `ddp_modules` in its own DistributedDataParallel."""

    def configure_ddp(self) -> None:
        """Wrap; parameters are broadcast from rank 0 once."""
        module = self.lightning_module
        assert module is not None
        # Around nn.Module's registration: the wrappers must not appear in state_dict.
        object.__setattr__(module, _ATTRIBUTE, {})
        for name in cast(tuple[str, ...], module.ddp_modules):
            self.wrap(name)

    def wrap(self, name: str) -> None:
        """Wrap network `name` for the parameters that have gradients now; on all ranks at once."""
        module = self.lightning_module
        assert module is not None
        with warnings.catch_warnings():
            # Newer torch prefers `forward_sync_buffers`, which older torch that we support doesn't know.
            warnings.filterwarnings("ignore", message=".*broadcast_buffers.*", category=FutureWarning)
            module.__dict__[_ATTRIBUTE][name] = DistributedDataParallel(
                getattr(module, name), device_ids=self.determine_ddp_device_ids(), broadcast_buffers=False
            )

    def teardown(self) -> None:
        """Unwrap."""
        if self.lightning_module is not None:
            self.lightning_module.__dict__.pop(_ATTRIBUTE, None)
        super().teardown()


def wrapped(module: LightningModule, name: str) -> nn.Module:
    """Return the network `name` as a training pass must call it: wrapped under DDP, itself otherwise."""
    network: nn.Module = module.__dict__.get(_ATTRIBUTE, {}).get(name) or getattr(module, name)
    return network


@torch.no_grad()
def broadcast_state(module: nn.Module) -> None:
    """Copy rank 0's parameters and buffers to every rank."""
    if world_size() == 1:
        return
    for tensor in (*module.parameters(), *module.buffers()):
        # Not every backend sends booleans.
        carried = tensor.to(torch.uint8) if tensor.dtype == torch.bool else tensor.detach()
        dist.broadcast(carried, 0)
        tensor.copy_(carried)
