"""Options of the prune stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from compress.core.formats import Format
from compress.core.stage import StageConfig, Training
from compress.engine.options import FitOptions
from compress.errors import CodedValueError
from compress.models.arch_names import known_weights, weight_files

Share = Annotated[float, Field(gt=0.0, le=1.0)]
DEFAULT_KEEP = 0.7
BUDGETS = ("keep", "target_macs", "target_params", "target_latency_ms", "like")
_HOW_TO_CUT = ("importance", "scope", "allocation", "sensitivity", "rounds")  # a width multiplier knows none of them


class PruneConfig(StageConfig):
    """Take channels out of a trained network, until it fits one budget.

    Attributes:
        keep: share of the channels kept in each group of coupled layers (scope local) or over all, before rounding.
            Keeping 0.7 of the channels leaves about half of the multiply-accumulates. Without any budget, 0.7.
        target_macs: largest share of the multiply-accumulates left; the keep that fits is found by bisection.
        target_params: largest share of the parameters left, likewise.
        target_latency_ms: largest median latency of one image on one thread, of the exported model in `runtime`,
            likewise; measured on this machine.
        like: id of a pruned stage or model file. This stage is then its sibling, the baseline a sceptic would ask for:
            the stock network of the input's architecture, from `weights` instead of the input's, cut to the same share
            of every width (the width multiplier of Howard 2017, section 3.3) so that its MACs are nearest to the
            other's, and trained by `recovery`.
        weights: what that stock network starts from: `imagenet` (downloaded), `none`, or a .safetensors or .pth file.
        runtime: where latency is measured.
        importance: what makes a channel worth keeping: `l1` or `l2` norm of its weights with batch norm folded in,
            `bn_scale` (its batch-norm gamma), `taylor` (estimated change of the loss, on training images) or `fisher`
            (its second-order term). At keep 0.9 and without recovery, MobileNets agreed with themselves on 25-31 % of
            held-out images after `taylor` and on 0-1 % after `l2`, at equal MACs (n = 80): hence the default.
        scope: `local` keeps the same share in each group; `global` compares all channels of the network,
            `isomorphic` those of groups that are built alike.
        allocation: `uniform` leaves the widths to `keep` and `scope`; `sensitivity` measures what each group can spare
            and takes the cheapest cuts first.
        sensitivity: measure it anyway, and write `sensitivity.json` and `sensitivity.svg`.
        rounds: cut in so many steps, each followed by `recovery`; the budget is approached geometrically.
        round_to: widths are rounded to a multiple of this, as MobileNet's widths are.
        min_width: no group is cut below this width.
        protect: patterns (as in file names) of layers that keep all their output channels; the first convolution and
            the classifier always do.
        recovery: trains the pruned network after each round; None leaves that to a later stage.
        alpha: share of the unpruned network's answers in the recovery's loss, 0..1; the labels have the rest.
            MobileNetV3-Small cut to 33 % of its MACs, 12 epochs on clothing: 86.5 % with the defaults, 85.6 at alpha 0,
            83.9 at alpha 0.9 and temperature 4 (n = 713, fp32 88.1, one run each).
        temperature: softens both distributions of answers.
        sibling: let the recipe train the sibling of this stage too, and of what is distilled from it.
    """

    consumes: ClassVar[frozenset[Format]] = frozenset({Format.TORCH})
    entry_point: ClassVar[str] = "compress.prune.stage:run"
    version: ClassVar[int] = 2
    backends: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "torch-pruning")
    unkeyed: ClassVar[frozenset[str]] = frozenset({"sibling"})
    alternatives: ClassVar[tuple[tuple[str, ...], ...]] = tuple(
        (budget, "weights") if budget == "like" else (budget,) for budget in BUDGETS
    )

    kind: Literal["prune"] = "prune"
    keep: Share | None = None
    target_macs: Share | None = None
    target_params: Share | None = None
    target_latency_ms: Annotated[float, Field(gt=0.0)] | None = None
    like: str | None = None
    weights: str | None = None
    runtime: Literal["onnx", "tflite"] = "onnx"
    importance: Literal["l1", "l2", "bn_scale", "taylor", "fisher"] = "taylor"
    scope: Literal["local", "global", "isomorphic"] = "local"
    allocation: Literal["uniform", "sensitivity"] = "uniform"
    sensitivity: bool = False
    rounds: Annotated[int, Field(ge=1, le=20)] = 1
    round_to: Annotated[int, Field(ge=1, le=64)] = 8
    min_width: Annotated[int, Field(ge=1, le=1024)] = 8
    protect: tuple[str, ...] = ()
    recovery: FitOptions | None = None
    alpha: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    temperature: Annotated[float, Field(ge=0.5, le=20.0)] = 1.0
    sibling: bool = True

    @field_validator("weights")
    @classmethod
    def _weights_are_known(cls, value: str | None) -> str | None:
        return None if value is None else known_weights(value)

    @model_validator(mode="after")
    def _fits_together(self) -> PruneConfig:
        given = [name for name in BUDGETS if getattr(self, name) is not None]
        if len(given) > 1:
            raise CodedValueError(
                f"give one budget, found {' and '.join(given)} (allowed: one of {', '.join(BUDGETS)})",
                code="two-budgets",
                facts={"found": given, "allowed": BUDGETS},
            )
        if (self.like is None) != (self.weights is None):
            raise ValueError("like and weights go together: the sibling of a stage starts from the stock weights")
        if self.rounds > 1 and self.recovery is None:
            raise ValueError(f"rounds: {self.rounds} needs recovery: rounds without training between them are one")
        if self.allocation == "sensitivity" and self.scope != "local":
            raise ValueError(f"allocation: sensitivity decides every width by itself; found scope: {self.scope}")
        return self

    @property
    def produces(self) -> Format:
        """Return TORCH."""
        return Format.TORCH

    def references(self) -> dict[str, str | None]:
        """Return the model to prune and, for a sibling, the model whose MACs it shall have."""
        return {"from": self.from_} | ({} if self.like is None else {"like": self.like})

    @property
    def training(self) -> Training:
        """Return the epochs of all recoveries, and the share of the unpruned network's answers in them."""
        if self.recovery is None:
            return Training()
        return Training(self.rounds * self.recovery.epochs, self.alpha)

    @property
    def compared_with(self) -> str | None:
        """Return the pruned stage that a sibling is like."""
        return self.like

    @property
    def wants_sibling(self) -> bool:
        """Return what the recipe says."""
        return self.sibling

    def make_sibling(self, lineage: Sequence[StageConfig], beside: str | None) -> StageConfig | None:
        """Return the stock narrower network, None where it is not wanted or nobody knows how the network was trained.

        It starts from the stock weights, cut by filter norm to equal shares of all widths, and trains for all the
        epochs that the pruned network had by then, on one schedule, as the first stage did. Where some of those were
        taught by a teacher, all of the sibling's are, by the network of the first stage: it is not to lose for want of
        a teacher.
        """
        start = lineage[0].training
        if not self.sibling or start.weights is None:
            return None
        unwanted = {*_HOW_TO_CUT, *BUDGETS}
        rules = {key: value for key, value in self.model_dump(by_alias=True).items() if key not in unwanted}
        own = {
            "from": lineage[0].id,
            "like": self.id,
            "weights": start.weights,
            "importance": "l2",
            "recovery": {**start.fit, "epochs": sum(stage.training.epochs for stage in lineage)},
            "alpha": max(stage.training.alpha for stage in lineage),
            "sibling": False,
        }
        return PruneConfig.model_validate(rules | own)

    def files(self) -> dict[str, Path]:
        """Return the stock network's weights file, where one is given."""
        return weight_files(self.weights)
