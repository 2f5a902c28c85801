"""How much memory tensors take while some code runs: the peak over what it allocates, on a CPU.

Every operation's results are seen as torch dispatches it, and leave with their storage; views and in-place results
count once. What kernels allocate inside themselves is not seen.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's has no types
    """Within `with LiveMemory() as memory`, keep `peak_bytes` of the tensors made since."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's has no types
        self.peak_bytes = 0
        self._now_bytes = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation; its arguments were there before, unless counted already."""
        kwargs = kwargs or {}
        for tensor in _tensors((args, kwargs)):
            self._meet(tensor, num_bytes=0)
        results = func(*args, **kwargs)
        for tensor in _tensors(results):
            self._meet(tensor, num_bytes=tensor.untyped_storage().nbytes())
        self.peak_bytes = max(self.peak_bytes, self._now_bytes)
        return results

    def _meet(self, tensor: Tensor, num_bytes: int) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        self._now_bytes += num_bytes
        weakref.finalize(storage, self._leave, key, num_bytes).atexit = False

    def _leave(self, key: int, num_bytes: int) -> None:
        self._known.discard(key)
        self._now_bytes -= num_bytes


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
