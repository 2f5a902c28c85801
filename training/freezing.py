"""The last stage of a training: encoder and quantizer stand still, so codes do, and only the decoder learns.

DDP waits for a gradient of every parameter that it was built around, so the codec is wrapped anew without those that
get none. Codebooks move in training mode alone.
"""

from codec.model import Codec


def freeze_encoder(codec: Codec) -> bool:
    """Freeze encoder and quantizer, and tell whether any parameter wasn't frozen before."""
    changed = False
    for part in (codec.encoder, codec.quantizer):
        part.eval()
        changed |= any(parameter.requires_grad for parameter in part.parameters())
        part.requires_grad_(False)
    return changed
