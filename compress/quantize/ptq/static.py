"""Post-training quantization in one function: rewrite, find ranges, correct biases, reconstruct."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from compress.core.boxes import BoxCoding
from compress.core.preprocess import Preprocess
from compress.core.stage import Reporter
from compress.data.transforms import normalize
from compress.graph.targets import HardSwishMode
from compress.quantize.ptq.bias import correct_biases
from compress.quantize.ptq.calibrate import calibrate
from compress.quantize.ptq.divergence import of_boxes, of_classes
from compress.quantize.ptq.equalize import equalize
from compress.quantize.ptq.ranges import RangeRule
from compress.quantize.ptq.reconstruct import Reconstruction, reconstruct
from compress.quantize.ptq.rewrites import (
    early_hard_swishes,
    fold_hard_sigmoid,
    gate_hard_swish,
    hard_swishes,
    relu6_for_hard_swish,
)
from compress.quantize.qdq.fake_quant import Grid
from compress.quantize.qdq.quant_graph import QuantGraph
from compress.quantize.qdq.quantizer_setup import RangeGroup, block_ends, range_groups, with_activations
from compress.quantize.qdq.torch_graph import TorchGraph

BATCH = 32
BIAS_IMAGES = 64  # one batch, all of whose activations are held at once


@dataclass(frozen=True)
class StaticOptions:
    """How a float graph becomes a rounded one.

    Attributes:
        rule: picks a range from what was seen.
        percentile: of the rule of that name.
        hard_swish: `float` computes it in float between DequantizeLinear and QuantizeLinear; `gate` in integers, as
            `rewrites.gate_hard_swish` has it; `relu6` is another function in its place, which learning has to make up
            for, and `relu6_early` that in the first layers (`rewrites.early_hard_swishes`), `gate` in the others.
        floats: names of further nodes that stay float, weights too.
        correct_biases: whether each layer's mean output is brought back to the float graph's.
        reconstruction: how long and how fast the rounded graph learns.
        coding: what a detector's numbers mean; None for a classifier.
    """

    rule: RangeRule
    percentile: float
    hard_swish: HardSwishMode
    floats: tuple[str, ...]
    correct_biases: bool
    reconstruction: Reconstruction
    coding: BoxCoding | None = None


@dataclass(frozen=True)
class CalibrationImages:
    """Calibration images, normalised when they are asked for."""

    pixels_NHWC: NDArray[np.uint8]
    preprocess: Preprocess

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.pixels_NHWC)

    def sample(self, indices: NDArray[np.int64]) -> Tensor:
        """Return images [N, 3, H, W] of these images."""
        images_NCHW = normalize(np.asarray(self.pixels_NHWC[indices]), self.preprocess)
        return torch.from_numpy(images_NCHW).contiguous(memory_format=torch.channels_last)

    def batches(self) -> Iterator[Tensor]:
        """Yield all images in order."""
        for start in range(0, len(self), BATCH):
            yield self.sample(np.arange(start, min(start + BATCH, len(self))))


@dataclass(frozen=True)
class StaticGraph:
    """A rounded graph and what it comes from.

    Attributes:
        model: the float graph it rounds.
        teacher: a float graph with the same tensors that answers as the original does: `model`, but for swaps.
        quantized: it.
        calibrated: its ranges before it learned.
        rewrites: those between the original and `model`.
    """

    model: onnx.ModelProto
    teacher: TorchGraph
    quantized: QuantGraph
    calibrated: Mapping[RangeGroup, Grid]
    rewrites: tuple[str, ...]

    def to_qdq(self, activation: str) -> onnx.ModelProto:
        """Return the QDQ model."""
        return self.quantized.to_qdq(self.model, activation)


def rewritten(
    model: onnx.ModelProto, hard_swish: HardSwishMode, floats: tuple[str, ...] = ()
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return the model as integers like it best, with equal outputs, and the names of the rewrites that found work.

    Hard-swishes that are going to be swapped are still there, see `swapped`.
    """
    names: list[str] = []
    model, count = equalize(model, floats)
    if count:
        names.append("equalize")
    floats = (*floats, *_to_swap(model, hard_swish))
    model, count = fold_hard_sigmoid(model, floats)
    if count:
        names.append("fold_hard_sigmoid")
    if hard_swish in ("gate", "relu6_early"):
        model, count = gate_hard_swish(model, floats)
        if count:
            names.append("gate_hard_swish")
    return model, tuple(names)


def swapped(
    model: onnx.ModelProto, hard_swish: HardSwishMode, floats: tuple[str, ...] = ()
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return a model that `rewritten` made with ReLU6 where it was asked for, and the name of the rewrite if so."""
    names = set(_to_swap(model, hard_swish)).difference(floats)
    model, count = relu6_for_hard_swish(model, names)
    return model, ("relu6_for_hard_swish",) if count else ()


def _to_swap(model: onnx.ModelProto, hard_swish: HardSwishMode) -> tuple[str, ...]:
    if hard_swish == "relu6":
        return hard_swishes(model)
    return early_hard_swishes(model) if hard_swish == "relu6_early" else ()


def sketched(model: onnx.ModelProto, hard_swish: HardSwishMode, floats: tuple[str, ...]) -> onnx.ModelProto:
    """Return the QDQ model with grids that fit nothing: its nodes are those that quantizing will write."""
    model, _ = rewritten(model, hard_swish, floats)
    model, _ = swapped(model, hard_swish, floats)
    nodes = with_activations(model, floats)
    grids = dict.fromkeys(range_groups(model, nodes), Grid(1.0, 128))
    return QuantGraph(model, grids, nodes).to_qdq(model, "int8")


def quantize_statically(
    model: onnx.ModelProto, images: CalibrationImages, options: StaticOptions, *, seed: int, reporter: Reporter
) -> StaticGraph:
    """Return the model rounded to int8, its ranges found and its weights adjusted on images without labels."""
    equal, rewrites = rewritten(model, options.hard_swish, options.floats)
    model, swaps = swapped(equal, options.hard_swish, options.floats)
    floats = with_activations(model, options.floats)
    groups = range_groups(model, floats)
    teacher = TorchGraph(equal)
    reporter.info(f"calibrating {len(groups)} ranges on {len(images)} images ({options.rule})")
    grids = calibrate(model, groups, images.batches, options.rule, options.percentile)
    quantized = QuantGraph(model, grids, floats)
    if options.correct_biases:
        correct_biases(quantized, teacher, images.sample(spread(len(images), BIAS_IMAGES)))
    if options.reconstruction.steps:
        blocks = block_ends(model)
        reconstruct(
            quantized,
            teacher,
            blocks,
            of_classes(teacher) if options.coding is None else of_boxes(options.coding),
            images.sample,
            len(images),
            options.reconstruction,
            seed=seed,
            reporter=reporter,
        )
    return StaticGraph(model, teacher, quantized, grids, (*rewrites, *swaps))


def spread(count: int, most: int) -> NDArray[np.int64]:
    """Return up to `most` indices below `count`, evenly spread."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)
