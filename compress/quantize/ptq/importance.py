"""How much the rounding noise of each channel of a tensor matters to what reads it.

A depthwise layer gives a faint channel as much weight as a loud one, so that noise which is small beside the loudest
channel may drown the faint one. Where channels cannot be scaled to one size (cross-layer equalisation, Nagel et al.
2019, section 4.1, does not go through hard-swish), the range can still be picked with them in mind.

Shape suffixes: C channels, O and I output and input channels of a layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from torch import Tensor

from compress.graph.operators import WEIGHTED
from compress.graph.proto import attributes_of, constants_of

_LEAST_SHARE = 1e-3  # of the mean variance: a channel that hardly varies counts no more than this one


@dataclass(frozen=True)
class Moments:
    """What was seen of a tensor, by channel.

    Attributes:
        variance_C: over images and places.
        power_C: mean square.
    """

    variance_C: Tensor
    power_C: Tensor


def channel_importance(model: onnx.ModelProto, moments: Mapping[str, Moments]) -> dict[str, Tensor]:
    """Return a weight per channel [C] for the squared error of each tensor, by name; only ratios mean something.

    The noise that a Conv or Gemm makes of its input's is counted beside the variance of each of its output channels;
    through other nodes the weight of their output is passed back.
    """
    constants = constants_of(model.graph)
    found: dict[str, Tensor] = {}
    for node in reversed(model.graph.node):
        name = node.output[0]
        if name not in moments:
            continue
        behind_C = found.get(name, 1.0 / _floored(moments[name].variance_C))
        start = 0
        for source in node.input:
            if source not in moments:
                continue
            channels = len(moments[source].variance_C)
            if node.op_type in WEIGHTED:
                weight_C = _noise_gain(node, np.array(constants[node.input[1]]), moments[name].variance_C)
            elif node.op_type == "Concat":
                weight_C = behind_C[start : start + channels]
                start += channels
            elif node.op_type == "Mul":
                weight_C = behind_C * _power_of_other(node, source, moments)
            else:
                weight_C = behind_C
            if len(weight_C) != channels:  # a Flatten of more than one place
                weight_C = weight_C.mean().expand(channels)
            found[source] = found[source] + weight_C if source in found else weight_C
    return {name: _at_least_some(weight_C) for name, weight_C in found.items()}


def _noise_gain(node: onnx.NodeProto, weight: np.ndarray, variance_O: Tensor) -> Tensor:
    """Return what unit noise in each input channel [I] adds to the outputs, beside their variance, on average."""
    attributes = attributes_of(node)
    squares = torch.from_numpy(weight).double().square()  # [O, I / groups, ...]
    if node.op_type == "Gemm" and not attributes.get("transB", 0):
        squares = squares.T
    squares = squares.reshape(*squares.shape[:2], -1).sum(2)
    groups = attributes.get("group", 1)
    gains = squares / _floored(variance_O)[:, None] / len(squares)
    return gains.reshape(groups, -1, gains.shape[1]).sum(1).reshape(-1)


def _power_of_other(node: onnx.NodeProto, source: str, moments: Mapping[str, Moments]) -> Tensor | float:
    other = next((name for name in node.input if name != source), source)
    return moments[other].power_C if other in moments else 1.0


def _at_least_some(weight_C: Tensor) -> Tensor:
    """Return the weights, none of them zero; all equal where nothing reads the tensor with weights other than zero."""
    mean = float(weight_C.mean())
    return weight_C.clamp(min=_LEAST_SHARE * mean) if mean > 0 else torch.ones_like(weight_C)


def _floored(variance_C: Tensor) -> Tensor:
    return variance_C.clamp(min=max(_LEAST_SHARE * float(variance_C.mean()), 1e-30))
