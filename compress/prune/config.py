"""Options of the prune stage."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from compress.core.formats import Format
from compress.core.stage import StageConfig
from compress.engine.options import FitOptions


class PruneConfig(StageConfig):
    """Take channels out of a trained network.

    Attributes:
        keep: share of the channels kept in each group of coupled layers (scope local) or over all (global), before
            rounding. Keeping 0.7 of the channels leaves about half of the multiply-accumulates.
        importance: what makes a channel worth keeping: `l1` or `l2` norm of its weights with batch norm folded in,
            `bn_scale` (its batch-norm gamma), or `taylor` (estimated change of the loss, on training pictures). At
            keep 0.9 and without recovery, MobileNets agreed with themselves on 25-31 % of held-out photographs after
            `taylor` and on 0-1 % after `l2`, at equal MACs (n = 80): hence the default.
        scope: `local` keeps the same share in each group; `global` compares all channels of the network.
        round_to: widths are rounded to a multiple of this, as MobileNet's widths are.
        protect: patterns (as in file names) of layers that keep all their output channels; the first convolution and
            the classifier always do.
        recovery: trains the pruned network with cross entropy; None leaves that to a later stage.
    """

    consumes: ClassVar[frozenset[Format]] = frozenset({Format.TORCH})
    entry_point: ClassVar[str] = "compress.prune.stage:run"
    version: ClassVar[int] = 1
    backends: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "torch-pruning")

    kind: Literal["prune"] = "prune"
    keep: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    importance: Literal["l1", "l2", "bn_scale", "taylor"] = "taylor"
    scope: Literal["local", "global"] = "local"
    round_to: Annotated[int, Field(ge=1, le=64)] = 8
    protect: tuple[str, ...] = ()
    recovery: FitOptions | None = None

    @property
    def produces(self) -> Format:
        """Return TORCH."""
        return Format.TORCH
