"""The learning rate of fine-tuning where nobody names one."""

from __future__ import annotations

from math import sqrt

from torch import nn

_HIGHEST, _LOWEST_SHARE = 1e-3, 0.5
_FEW_STEPS = 100
_WITHOUT_NORM = 0.5


def fine_tuning_rate(model: nn.Module, steps: int) -> float:
    """Return the highest learning rate (AdamW, 32 images a step) for a network that starts from published weights.

    1e-3 for up to 100 steps, falling with their square root to 5e-4 at 400: whoever has few steps must take large
    ones, whoever has many spoils what the weights know. Half of that without batch normalisation, as in SqueezeNet.
    Chosen on validation images of clothing, 200 and 500 training images and 5 and 30 epochs, from 2e-4, 5e-4, 1e-3
    and 2e-3 (`evals.train.rates`).
    """
    share = min(1.0, max(_LOWEST_SHARE, sqrt(_FEW_STEPS / max(1, steps))))
    normalised = any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    return _HIGHEST * share * (1.0 if normalised else _WITHOUT_NORM)
