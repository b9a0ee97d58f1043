"""The exponential moving average of a model's weights (Polyak averaging), held as a second model."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Ema:
    """A copy of the model whose floating-point state trails the model's: ema = d * ema + (1 - d) * weights.

    d = min(decay, (1 + step) / (10 + step)), so that a short run is not held back by its first weights.
    BatchNorm's running statistics are averaged too; integer buffers are copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Copy the model; `decay` is in [0, 1)."""
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards `model`; `step` counts the optimizer steps done before this one."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = model.state_dict()
        for name, average in self.model.state_dict().items():
            if average.is_floating_point():
                average.lerp_(current[name], 1.0 - decay)
            else:
                average.copy_(current[name])
