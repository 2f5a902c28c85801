"""What importers of Hugging Face weights share: weight norm folded away, and tensors put into a module, all or none."""

from __future__ import annotations

from torch import Tensor, nn

from codec.errors import PackageError

# The names that weight norm gives a weight's length and direction, in its older and its newer form.
_WEIGHT_NORM_NAMES = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
)


def fold_weight_norm(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replace each pair of length and direction by the plain weight they make, over all axes but the first.

    Raises:
        PackageError: A length has no direction of the same name.
    """
    folded = dict(tensors)
    for length_name, direction_name in _WEIGHT_NORM_NAMES:
        for name in [name for name in tensors if name.endswith(f".{length_name}")]:
            prefix = name.removesuffix(length_name)
            if prefix + direction_name not in tensors:
                raise PackageError(f"the weights hold '{name}' but not '{prefix}{direction_name}'")
            length, direction = folded.pop(name).float(), folded.pop(prefix + direction_name).float()
            axes = tuple(range(1, direction.ndim))
            folded[f"{prefix}weight"] = direction * (length / direction.norm(dim=axes, keepdim=True))
    return folded


def load_tensors(module: nn.Module, tensors: dict[str, Tensor], leave: tuple[str, ...] = ()) -> None:
    """Copy `tensors` into the state of `module`: exactly its names but those of `leave`, in exactly its shapes.

    Raises:
        PackageError: A tensor is missing, unknown or of another shape; the message names the first.
    """
    state = {name: value for name, value in module.state_dict().items() if name not in leave}
    if missing := sorted(set(state) - set(tensors)):
        raise PackageError(f"the weights lack {len(missing)} tensor(s), first '{missing[0]}' as Nacre names it")
    if unknown := sorted(set(tensors) - set(state)):
        raise PackageError(f"the weights hold {len(unknown)} tensor(s) that the codec lacks, first '{unknown[0]}'")
    for name, value in state.items():
        given = tensors[name]
        if given.shape != value.shape:
            raise PackageError(f"the weights' '{name}' is {tuple(given.shape)}, not {tuple(value.shape)}")
        value.copy_(given)
