"""SSDLite on MobileNetV2 as TensorFlow's Object Detection API names and orders it, in our names and order.

The network is the same one; what differs is said by `_ORDER` and `_SIZES`. The API's first map has three anchors a
cell, ours six: those two heads do not fit. The API pads at the far side where two of the extra maps are halved, and its
norms have an epsilon of 0.001: a start to train from, not the same answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

MARK = "backbone.Conv.conv.weight"  # a name that no other file has
_REPEATS = (1, 2, 3, 4, 3, 3, 1)  # of MobileNetV2's stages (Sandler et al. 2018, table 2)
_BLOCK = re.compile(r"backbone\.blocks\.(\d+)\.(expand|depthwise|project)\.(conv|bn)\.(.+)")
_REST = (
    (re.compile(r"backbone\.Conv\.(conv|bn)\."), {"conv": "backbone.conv_stem.", "bn": "backbone.bn1."}),
    (re.compile(r"backbone\.Conv_1\.(conv|bn)\."), {"conv": "backbone.conv_head.", "bn": "backbone.bn2."}),
)
_LAYERS = {"expand": ("conv_pw", "bn1"), "depthwise": ("conv_dw", "bn2"), "project": ("conv_pwl", "bn3")}
_FIRST = {"depthwise": ("conv_dw", "bn1"), "project": ("conv_pw", "bn2")}  # the first block does not expand
_HEADS = {"box": "box_heads", "cls": "score_heads"}
_ORDER = [1, 0, 3, 2]  # ours are x, y, w, h; the API's y, x, h, w
_SIZES = [0, 5, 1, 2, 3, 4]  # ours begin with the two squares; the API has the second one last


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors under the names, and in the order of anchors and numbers, of `ssdlite_mobilenetv2`.

    Args:
        tensors: of a file that has `MARK`.
    """
    return {_name(name): _ordered(name, tensor) for name, tensor in tensors.items()}


def _name(name: str) -> str:
    if found := _BLOCK.fullmatch(name):
        index, layer, kind, rest = found.groups()
        stage, block = _places()[int(index)]
        conv, norm = (_LAYERS if int(index) else _FIRST)[layer]
        return f"backbone.blocks.{stage}.{block}.{conv if kind == 'conv' else norm}.{rest}"
    for pattern, own in _REST:
        if found := pattern.match(name):
            return own[found[1]] + name[found.end() :]
    name = name.removeprefix("backbone.").replace(".conv.", ".0.").replace(".bn.", ".1.")
    kind, _, rest = name.partition(".")
    return f"{_HEADS[kind]}.{rest.replace('.dw.', '.0.').replace('.pw.', '.1.')}" if kind in _HEADS else name


def _places() -> list[tuple[int, int]]:
    return [(stage, block) for stage, count in enumerate(_REPEATS) for block in range(count)]


def _ordered(name: str, tensor: Tensor) -> Tensor:
    """Return a head's last layer with its anchors and numbers in our order; others as they are."""
    kind, *_, layer, _ = name.split(".")
    numbers = 4 if kind == "box" else 2
    if kind not in _HEADS or layer != "pw" or len(tensor) != len(_SIZES) * numbers:
        return tensor
    by_anchor = tensor.reshape(len(_SIZES), numbers, *tensor.shape[1:])[_SIZES]
    return (by_anchor[:, _ORDER] if kind == "box" else by_anchor).reshape(tensor.shape)
