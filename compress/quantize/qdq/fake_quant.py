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


def on_grid(x: Tensor, scale: float, zero_point: int) -> Tensor:
    """Return x rounded to a grid, same shape; no gradient.

    One buffer and four passes: a third of the time of torch's own fake quantization on a CPU, equal bits.
    """
    return x.mul(1.0 / scale).round_().clamp_(-zero_point, QMAX - zero_point).mul_(scale)


class _FakeQuant(torch.autograd.Function):
    """Fake quantization with a gradient for the logarithm of the scale.

    Straight-through inside the range, zero outside. For y = s * clamp(round(x / s)) the derivative by log s is y - x
    inside and y outside (LSQ, Esser et al. 2020, eq. 3, times s, since the logarithm is learned as in TQT, Jain et al.
    2020).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, log_scale: Tensor, zero_point: int) -> Tensor:  # noqa: ANN401 - autograd's context
        scale = float(log_scale.detach().exp())
        y = on_grid(x, scale, zero_point)
        ctx.save_for_backward(x, y)
        ctx.range = (-zero_point - 0.5) * scale, (QMAX - zero_point + 0.5) * scale
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None]:  # noqa: ANN401 - autograd's context
        (grad,) = grads
        x, y = ctx.saved_tensors
        # the derivative of clamp in one pass; comparisons and products of masks take four times as long
        grad_x = torch.ops.aten.hardtanh_backward(grad, x, *ctx.range)
        if not ctx.needs_input_grad[1]:
            return grad_x, None, None
        return grad_x, _dot(grad, y) - _dot(grad_x, x), None


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the sum of products; flat in memory order, so that no product is written."""
    if a.ndim == 4 and a.stride() == b.stride() and a.is_contiguous(memory_format=torch.channels_last):
        a, b = a.permute(0, 2, 3, 1), b.permute(0, 2, 3, 1)
    return torch.dot(a.reshape(-1), b.reshape(-1))


class ActivationQuantizer(nn.Module):
    """Rounds a tensor to a grid; the scale is learned as its logarithm unless the grid is fixed."""

    log_scale: Tensor

    def __init__(self, grid: Grid, *, learned: bool, most: float = math.inf) -> None:
        """Start from a grid; the zero point is never learned, so that zero stays exact.

        Args:
            grid: where to start.
            learned: whether the scale is a parameter.
            most: largest value that can occur; the grid never reaches beyond it, so that it clips where a Clip would.
        """
        super().__init__()
        self._start = grid
        self._learned = learned
        self._most = math.log(most / QMAX) if most < math.inf else math.inf
        start = torch.tensor(min(math.log(grid.scale), self._most), dtype=torch.float64)
        if learned:
            self.log_scale = nn.Parameter(start)
        else:
            self.register_buffer("log_scale", start)

    def grid(self) -> Grid:
        """Return the grid as it stands."""
        if not self._learned:
            return self._start
        return Grid(math.exp(min(float(self.log_scale.detach()), self._most)), self._start.zero_point)

    def forward(self, x: Tensor) -> Tensor:
        """Return x rounded to the grid, same shape."""
        # held at the limit, with the gradient left through, so that the scale can come back from there
        held = self.log_scale + (self.log_scale.clamp(max=self._most) - self.log_scale).detach()
        y: Tensor = _FakeQuant.apply(x, held, self._start.zero_point)
        return y


def weight_scales(weight: Tensor) -> Tensor:
    """Return the scale per output channel [O] of a weight [O, ...]: max |w| / 127."""
    return weight.detach().abs().amax(dim=tuple(range(1, weight.ndim))).clamp(min=SMALLEST_SCALE) / WEIGHT_QMAX


def quantize_weight(weight: Tensor) -> Tensor:
    """Return a weight [O, ...] rounded to its own int8 grid, straight-through for gradients."""
    scales = weight_scales(weight).reshape(-1, *[1] * (weight.ndim - 1))
    rounded = torch.round(weight.detach() / scales).clamp(-WEIGHT_QMAX, WEIGHT_QMAX) * scales
    return weight + (rounded - weight.detach())
