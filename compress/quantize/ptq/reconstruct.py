"""Block reconstruction: the rounded graph learns from images without labels to repeat what the float graph computes.

The loss is BRECQ's (Li et al. 2021): the error at the end of each block; here of all blocks at once, each relative to
its variance, and with the divergence of the answers (Hinton et al. 2015). Weights move, scales are learned as in LSQ
(Esser et al. 2020). The networks are small, so that one pass over all blocks costs little more than a block at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name
from torch import Tensor, nn

from compress.core.stage import Reporter
from compress.errors import StageError
from compress.quantize.ptq.divergence import Divergence
from compress.quantize.qdq.fake_quant import weight_scales
from compress.quantize.qdq.quant_graph import QuantGraph
from compress.quantize.qdq.torch_graph import TorchGraph

Sample = Callable[[np.ndarray], Tensor]  # indices of images -> images [N, 3, H, W]
MAX_PASSES = 40  # over the images: few images are not learned by heart
_SHIFT = 0.1  # of the side: how far an image is moved
_LEAST_VARIANCE = 1e-6  # of a block's output, below which it says nothing


@dataclass(frozen=True)
class Reconstruction:
    """How the rounded graph learns.

    Attributes:
        steps: number of optimizer steps, see also `capped`.
        batch_size: images a step.
        lr: highest learning rate of weights and biases (Adam, cosine to 0), in steps of the weight's own grid.
        lr_scale: highest learning rate of the logarithms of the scales.
    """

    steps: int
    batch_size: int
    lr: float
    lr_scale: float

    def capped(self, count: int) -> int:
        """Return the number of steps with `count` images, of at most `MAX_PASSES` over them."""
        return min(self.steps, MAX_PASSES * max(1, count // self.batch_size))


def reconstruct(
    quantized: QuantGraph,
    teacher: TorchGraph,
    blocks: frozenset[str],
    divergence: Divergence,
    sample: Sample,
    count: int,
    options: Reconstruction,
    *,
    seed: int,
    reporter: Reporter,
) -> None:
    """Train the quantized graph in place on images without labels.

    Args:
        quantized: the rounded graph, with calibrated ranges.
        teacher: the float graph, with the same tensor names.
        blocks: tensors at which the two are compared.
        divergence: how far apart the answers of the two are.
        sample: gives images by their indices, below `count`.
        count: number of images.
        options: steps and rates.
        seed: decides the order of the images and how they are moved.
        reporter: shows progress.

    Raises:
        StageError: the loss is not finite.
    """
    teacher.eval().requires_grad_(False)
    grids = WeightGrids(quantized)
    optimizer = _optimizer(quantized, grids, options)
    draw = np.random.default_rng((seed, 0xB10C))
    size, steps = min(options.batch_size, count), options.capped(count)
    reporter.info(f"reconstructing {len(blocks)} blocks in {steps} steps")
    order = np.empty(0, dtype=np.int64)
    with reporter.progress("reconstruct", steps) as advance:
        for step in range(steps):
            if len(order) < size:
                order = np.concatenate([order, draw.permutation(count)])
            chosen, order = order[:size], order[size:]
            loss = _step(quantized, teacher, blocks, divergence, _moved(sample(chosen), draw), optimizer, step / steps)
            grids.hold()
            if not math.isfinite(loss):
                raise StageError(f"reconstruction diverged: the loss is {loss}", hint="lower reconstruct.lr")
            advance(1, f"loss {loss:.4f}")
    quantized.requires_grad_(True).eval()


class WeightGrids:
    """Keeps the grids of the weights where they are while the weights move, in steps of these grids.

    The scale of a channel is its largest weight / 127 (`fake_quant.weight_scales`): that weight is held, no other may
    pass it, as AdaRound (Nagel et al. 2020) and BRECQ hold scales. A grid that moved would round all of its weights
    anew, and undo that a network's weights lay on a grid from the start. Layers that stay float are not learned.
    """

    def __init__(self, quantized: QuantGraph) -> None:
        """Note where the weights of a rounded graph are."""
        self._limits: dict[nn.Parameter, tuple[Tensor, Tensor]] = {}
        self._steps: dict[nn.Parameter, Tensor] = {}
        for weight, bias in quantized.rounded_layers():
            scales_O = weight_scales(weight)
            start = weight.detach().clone()
            limit = start.abs().amax(dim=tuple(range(1, start.ndim)), keepdim=True)
            self._limits[weight] = start, limit
            self._steps[weight] = scales_O.reshape(-1, *[1] * (weight.ndim - 1))
            if bias is not None:
                self._steps[bias] = scales_O
        self._before = {parameter: parameter.detach().clone() for parameter in self._steps}

    def parameters(self) -> list[nn.Parameter]:
        """Return the weights and biases."""
        return list(self._steps)

    @torch.no_grad()
    def hold(self) -> None:
        """Read what the optimizer has just moved as moves in grid steps, and put the largest weights back."""
        for parameter, step in self._steps.items():
            before = self._before[parameter]
            parameter.copy_(before + (parameter - before) * step)
        for weight, (start, limit) in self._limits.items():
            weight.copy_(torch.where(start.abs() == limit, start, weight.clamp(-limit, limit)))
        for parameter, before in self._before.items():
            before.copy_(parameter)


def _optimizer(quantized: QuantGraph, grids: WeightGrids, options: Reconstruction) -> torch.optim.Optimizer:
    scales = list(quantized.quantizers.parameters())
    return torch.optim.Adam(
        [
            {"params": grids.parameters(), "lr": options.lr, "highest": options.lr},
            {"params": scales, "lr": options.lr_scale, "highest": options.lr_scale},
        ]
    )


def _step(
    quantized: QuantGraph,
    teacher: TorchGraph,
    blocks: frozenset[str],
    divergence: Divergence,
    images_NCHW: Tensor,
    optimizer: torch.optim.Optimizer,
    progress: float,
) -> float:
    """Do one optimizer step; returns the loss."""
    for group in optimizer.param_groups:
        group["lr"] = group["highest"] * 0.5 * (1.0 + math.cos(math.pi * progress))
    wanted: dict[str, Tensor] = {}
    errors: list[Tensor] = []

    def keep(name: str, value: Tensor) -> Tensor:
        if name in blocks:
            wanted[name] = value
        return value

    def compare(name: str, value: Tensor) -> None:
        if name in wanted:
            errors.append(_relative_error(value, wanted[name]))

    with torch.no_grad():
        expected = teacher.run(images_NCHW, keep, lambda name, weight: weight)
    loss = divergence(quantized.watch(images_NCHW, compare), expected)
    if errors:
        loss = loss + torch.stack(errors).mean()
    value = float(loss.detach())
    if math.isfinite(value):
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return value


def _relative_error(value: Tensor, wanted: Tensor) -> Tensor:
    return F.mse_loss(value, wanted) / wanted.var().clamp(min=_LEAST_VARIANCE)


def _moved(images_NCHW: Tensor, draw: np.random.Generator) -> Tensor:
    """Return the images mirrored at random, and moved by up to `_SHIFT` of their side, all in one direction."""
    count, _, height, width = images_NCHW.shape
    mirrored = torch.from_numpy(draw.random(count) < 0.5)
    images_NCHW = torch.where(mirrored[:, None, None, None], images_NCHW.flip(3), images_NCHW)
    border = max(1, round(_SHIFT * min(height, width)))
    padded = nn.functional.pad(images_NCHW, (border, border, border, border), mode="reflect")
    top, left = (int(start) for start in draw.integers(0, 2 * border + 1, size=2))
    moved = padded[:, :, top : top + height, left : left + width]
    return moved.contiguous(memory_format=torch.channels_last)
