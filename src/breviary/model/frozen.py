"""The weight under an adapter as its layer multiplies with it: of a quantised one, what its 4 or 8 bits stand for.

Not through PEFT's `dequantize_module_weight`: on a CPU that puts a copy of an int8 weight, without its scales, into the
layer, and the next forward pass fails.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


@torch.no_grad()
def weight(layer: Any) -> Float[Tensor, "out in"]:
    """The weight that PEFT's `layer` multiplies with, dequantised where it is quantised, in the type that it has."""
    from peft.utils.integrations import dequantize_bnb_weight, get_bnb_param_type

    base = layer.get_base_layer()
    kept = base.weight
    if kind := get_bnb_param_type(kept):
        kept = dequantize_bnb_weight(kept, state=base.state if kind == "8bit" else None)
    return kept.T if layer.fan_in_fan_out else kept  # GPT-2's Conv1D keeps (in, out)
