"""Rounding as int8 arithmetic will do it, while gradients flow.

Grids are those of the files: activations affine on 0..255 per tensor (int8 is the same grid moved by 128), weights
symmetric on -127..127 per output channel, narrow so that the largest weight is 127 times the scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

QMAX = 255
WEIGHT_QMAX = 127
SMALLEST_SCALE = 2.0**-24  # a tensor of zeros still needs a scale


@dataclass(frozen=True)
class Grid:
    """An affine grid of 256 values: real = scale * (q - zero_point), q in 0..255."""

    scale: float
    zero_point: int

    @staticmethod
    def of_range(low: float, high: float) -> Grid:
        """Return the grid that covers low..high and holds zero exactly (Jacob et al. 2018, eq. 1)."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max((high - low) / QMAX, SMALLEST_SCALE)
        return Grid(scale, min(QMAX, max(0, round(-low / scale))))


UNIT_GRID = Grid(1.0 / 256.0, 0)  # what TFLite prescribes for sigmoid-like outputs


class _LearnedGrid(torch.autograd.Function):
    """Fake quantization with a gradient for the logarithm of the scale.

    Straight-through inside the range, zero outside. For y = s * clamp(round(x / s)) the derivative by log s is y - x
    inside and y outside (LSQ, Esser et al. 2020, eq. 3, times s, since the logarithm is learned as in TQT, Jain et al.
    2020).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, log_scale: Tensor, zero_point: int) -> Tensor:  # noqa: ANN401 - autograd's context
        scale = float(log_scale.detach().exp())
        y = torch.fake_quantize_per_tensor_affine(x, scale, zero_point, 0, QMAX)
        ctx.save_for_backward(x, y)
        ctx.range = (-zero_point - 0.5) * scale, (QMAX - zero_point + 0.5) * scale
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401 - autograd's context
        (grad,) = grads
        x, y = ctx.saved_tensors
        low, high = ctx.range
        inside = (x >= low) & (x <= high)
        grad_x = grad * inside
        grad_log_scale = (grad * y).sum() - (grad_x * x).sum()
        return grad_x, grad_log_scale, None


class ActivationQuantizer(nn.Module):
    """Rounds a tensor to a grid; the scale is learned as its logarithm unless the grid is fixed."""

    def __init__(self, grid: Grid, *, learned: bool) -> None:
        """Start from a grid; the zero point is never learned, so that zero stays exact."""
        super().__init__()
        self._start = grid
        self.log_scale = nn.Parameter(torch.tensor(math.log(grid.scale))) if learned else None

    def grid(self) -> Grid:
        """Return the grid as it stands."""
        if self.log_scale is None:
            return self._start
        return Grid(float(self.log_scale.detach().exp()), self._start.zero_point)

    def forward(self, x: Tensor) -> Tensor:
        """Return x rounded to the grid, same shape."""
        zero_point = self._start.zero_point
        if self.log_scale is None:
            return torch.fake_quantize_per_tensor_affine(x, self._start.scale, zero_point, 0, QMAX)
        y: Tensor = _LearnedGrid.apply(x, self.log_scale, zero_point)
        return y


def weight_scales(weight: Tensor) -> Tensor:
    """Return the scale per output channel [O] of a weight [O, ...]: max |w| / 127."""
    return weight.detach().abs().amax(dim=tuple(range(1, weight.ndim))).clamp(min=SMALLEST_SCALE) / WEIGHT_QMAX


def quantize_weight(weight: Tensor) -> Tensor:
    """Return a weight [O, ...] rounded to its own int8 grid, straight-through for gradients."""
    scales = weight_scales(weight).reshape(-1, *[1] * (weight.ndim - 1))
    rounded = torch.round(weight.detach() / scales).clamp(-WEIGHT_QMAX, WEIGHT_QMAX) * scales
    return weight + (rounded - weight.detach())
