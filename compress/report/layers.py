"""What each layer or group of a stage costs: the `sensitivity.json` of quantize and of prune in one shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compress.core.fact import Fact
from compress.errors import StageError


class CutPoint(Fact):
    """A group cut to a share of its channels: `keep` 0..1, and the points of top-1 that this costs."""

    keep: float
    top1_drop_pp: float


class LayerCost(Fact):
    """One layer or group.

    Attributes:
        name: of the layer, or of the group's first layer.
        kl: divergence from the float model's answers in nats, the layer alone rounded to int8; None after pruning.
        top1_drop_pp: float model's top-1 minus that of the network with this one rounded, or cut to its worst width.
        cuts: the group at each width, from wide to narrow; empty for quantization.
    """

    name: str
    kl: float | None = None
    top1_drop_pp: float | None = None
    cuts: tuple[CutPoint, ...] = ()


class LayerCosts(Fact):
    """All layers of one stage, the dearest first.

    Attributes:
        stage: id of the stage that measured.
        images: number of images.
        judged_on: which images.
    """

    stage: str
    images: int
    judged_on: str
    layers: tuple[LayerCost, ...]


def read_layer_costs(stage: str, path: Path) -> LayerCosts:
    """Return what a stage's `sensitivity.json` says.

    Raises:
        StageError: the file is damaged.
    """
    try:
        found = json.loads(path.read_bytes())
        layers = [_rounded(found, layer) for layer in found.get("layers", [])]
        layers += [_cut(found["whole"]["top1_pct"], group) for group in found.get("groups", [])]
        ranked = sorted(layers, key=lambda layer: (-(layer.kl or 0.0), -(layer.top1_drop_pp or 0.0)))
        return LayerCosts(stage=stage, images=found["images"], judged_on=found["judged_on"], layers=tuple(ranked))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StageError(
            f"{path}: not a readable sensitivity ({error})", hint="`imgc run --resume` makes the stage anew"
        ) from error


def _rounded(found: dict[str, Any], layer: dict[str, Any]) -> LayerCost:
    before, after = found["float_top1_pct"], layer["top1_pct"]
    drop = None if before is None or after is None else before - after
    return LayerCost(name=layer["layer"], kl=layer["kl"], top1_drop_pp=drop)


def _cut(whole_pct: float, group: dict[str, Any]) -> LayerCost:
    cuts = tuple(CutPoint(keep=point["keep"], top1_drop_pp=whole_pct - point["top1_pct"]) for point in group["points"])
    worst = max((cut.top1_drop_pp for cut in cuts), default=None)
    return LayerCost(name=group["group"], top1_drop_pp=worst, cuts=cuts)
