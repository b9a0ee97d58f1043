"""What each layer or group of a stage costs: the `sensitivity.json` of quantize and of prune in one shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compress.core.fact import Fact
from compress.errors import StageError


class CutPoint(Fact):
    """A group cut to a share of its channels: `keep` 0..1, and the points of top-1, or of mAP, that this costs."""

    keep: float
    top1_drop_pp: float | None = None
    map_drop_pp: float | None = None

    @property
    def drop_pp(self) -> float:
        """Return the points of whichever accuracy it is."""
        return self.map_drop_pp if self.map_drop_pp is not None else self.top1_drop_pp or 0.0


class LayerCost(Fact):
    """One layer or group.

    Attributes:
        name: of the layer, or of the group's first layer.
        kl: divergence from the float model's answers in nats, the layer alone rounded to int8; None after pruning.
        top1_drop_pp: float model's top-1 minus that of the network with this one rounded, or cut to its worst width.
        map_drop_pp: the same of a detector's mAP.
        cuts: the group at each width, from wide to narrow; empty for quantization.
    """

    name: str
    kl: float | None = None
    top1_drop_pp: float | None = None
    map_drop_pp: float | None = None
    cuts: tuple[CutPoint, ...] = ()

    @property
    def drop_pp(self) -> float | None:
        """Return the points of whichever accuracy it is; None without labels."""
        return self.top1_drop_pp if self.map_drop_pp is None else self.map_drop_pp


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

    @property
    def measure(self) -> str:
        """Return what accuracy was measured, in words."""
        return "mAP" if any(layer.map_drop_pp is not None for layer in self.layers) else "top-1"


def read_layer_costs(stage: str, path: Path) -> LayerCosts:
    """Return what a stage's `sensitivity.json` says.

    Raises:
        StageError: the file is damaged.
    """
    try:
        found = json.loads(path.read_bytes())
        layers = [_rounded(found, layer) for layer in found.get("layers", [])]
        layers += [_cut(found["whole"], group) for group in found.get("groups", [])]
        ranked = sorted(layers, key=lambda layer: (-(layer.kl or 0.0), -(layer.drop_pp or 0.0)))
        return LayerCosts(stage=stage, images=found["images"], judged_on=found["judged_on"], layers=tuple(ranked))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StageError(
            f"{path}: not a readable sensitivity ({error})", hint="`imgc run --resume` makes the stage anew"
        ) from error


def _rounded(found: dict[str, Any], layer: dict[str, Any]) -> LayerCost:
    metric = "map" if "map_pct" in layer else "top1"
    before, after = found[f"float_{metric}_pct"], layer[f"{metric}_pct"]
    drop = None if before is None or after is None else before - after
    return LayerCost.model_validate({"name": layer["layer"], "kl": layer["kl"], f"{metric}_drop_pp": drop})


def _cut(whole: dict[str, float], group: dict[str, Any]) -> LayerCost:
    metric = "map" if "map_pct" in whole else "top1"
    accuracy, drop = f"{metric}_pct", f"{metric}_drop_pp"
    cuts = tuple(CutPoint(keep=point["keep"], **{drop: whole[accuracy] - point[accuracy]}) for point in group["points"])
    worst = max((cut.drop_pp for cut in cuts), default=None)
    return LayerCost.model_validate({"name": group["group"], "cuts": cuts, drop: worst})
