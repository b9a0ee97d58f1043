"""Options of the prune stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from compress.core.formats import Format
from compress.core.stage import StageConfig, Training
from compress.engine.detection.options import DetectOptions
from compress.engine.options import FitOptions
from compress.errors import CodedValueError
from compress.models.arch_names import known_weights, weight_files

Share = Annotated[float, Field(gt=0.0, le=1.0)]
DEFAULT_KEEP = 0.7
BUDGETS = ("keep", "target_macs", "target_params", "target_latency_ms", "like")
_HOW_TO_CUT = ("importance", "scope", "allocation", "sensitivity", "rounds")  # a width multiplier knows none of them


class PruneConfig(StageConfig):
    """Take channels out of a trained network, until it fits one budget."""

    consumes: ClassVar[frozenset[Format]] = frozenset({Format.TORCH})
    entry_point: ClassVar[str] = "compress.prune.stage:run"
    version: ClassVar[int] = 2
    backends: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "torch-pruning")
    unkeyed: ClassVar[frozenset[str]] = frozenset({"sibling"})
    alternatives: ClassVar[tuple[tuple[str, ...], ...]] = tuple(
        (budget, "weights") if budget == "like" else (budget,) for budget in BUDGETS
    )
    knobs: ClassVar[tuple[str, ...]] = (
        *("keep", "target_macs", "target_params", "target_latency_ms", "runtime", "importance"),
        *("scope", "allocation", "sensitivity", "rounds", "recovery.epochs", "protect", "sibling"),
    )

    kind: Literal["prune"] = Field(default="prune", description="Kind of the stage: `prune`.")
    keep: Share | None = Field(
        default=None,
        description="Share of the channels kept in each group of coupled layers (scope local) or over all, before "
        "rounding; above 0 and at most 1. Keeping 0.7 of the channels leaves about half of the "
        "multiply-accumulates. Default without another budget: 0.7.",
    )
    target_macs: Share | None = Field(
        default=None,
        description="Largest share of the multiply-accumulates (MACs) left, above 0 and at most 1; the keep that fits"
        " is found by bisection.",
    )
    target_params: Share | None = Field(
        default=None,
        description="Largest share of the parameters left, above 0 and at most 1; the keep that fits is found by "
        "bisection.",
    )
    target_latency_ms: Annotated[float, Field(gt=0.0)] | None = Field(
        default=None,
        description="Largest median latency in milliseconds of one image on one thread, of the exported model in "
        "`runtime`, measured on this machine; the keep that fits is found by bisection.",
    )
    like: str | None = Field(
        default=None,
        description="Id of a pruned stage, or a model file, that this stage is the sibling of, the baseline a sceptic"
        " would ask for: the stock network of the input's architecture, from `weights` instead of the "
        "input's, cut to the same share of every width (the width multiplier of Howard 2017, section 3.3)"
        " so that its MACs are nearest to the other's, and trained by `recovery`.",
    )
    weights: str | None = Field(
        default=None,
        description="Weights that the stock network of `like` starts from: `imagenet` (downloaded), `none`, or a "
        ".safetensors or .pth file.",
    )
    runtime: Literal["onnx", "tflite"] = Field(
        default="onnx", description="Runtime in which latency before and after is measured."
    )
    importance: Literal["l1", "l2", "bn_scale", "taylor", "fisher"] = Field(
        default="taylor",
        description="What makes a channel worth keeping: `l1` or `l2` norm of its weights with batch norm folded in, "
        "`bn_scale` (its batch-norm gamma), `taylor` (estimated change of the loss, on training images) "
        "or `fisher` (its second-order term).",
    )
    scope: Literal["local", "global", "isomorphic"] = Field(
        default="local",
        description="Channels that are ranked together: `local` keeps the same share in each group; `global` compares"
        " all channels of the network, `isomorphic` those of groups that are built alike.",
    )
    allocation: Literal["uniform", "sensitivity"] = Field(
        default="uniform",
        description="Who decides the widths: `uniform` leaves them to `keep` and `scope`; `sensitivity` measures what"
        " each group can spare and takes the cheapest cuts first.",
    )
    sensitivity: bool = Field(
        default=False,
        description="Measure what each group can spare whatever the allocation, and write `sensitivity.json` and "
        "`sensitivity.svg`.",
    )
    rounds: int = Field(
        default=1,
        ge=1,
        le=20,
        description="Cut in so many steps, each followed by `recovery`; the budget is approached geometrically.",
    )
    round_to: int = Field(
        default=8,
        ge=1,
        le=64,
        description="Widths are rounded to a multiple of this many channels, as MobileNet's widths are.",
    )
    min_width: int = Field(default=8, ge=1, le=1024, description="No group is cut below this many channels.")
    protect: tuple[str, ...] = Field(
        default=(),
        description="Layers that keep all their output channels, by name or pattern (`*` and `?` as in file names); "
        "the first convolution and the classifier always do.",
    )
    recovery: FitOptions | None = Field(
        default=None,
        description="Training loop of the pruned network after each round. Default: none; that is left to a later "
        "stage.",
    )
    detect: DetectOptions = Field(
        default=DetectOptions(), description="Augmentation and loss of a detector's recovery, as in train."
    )
    alpha: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="Share of the unpruned network's answers in the recovery's loss, 0..1; the labels have the rest.",
    )
    temperature: float = Field(
        default=1.0,
        ge=0.5,
        le=20.0,
        description="Temperature that softens both distributions of answers in the recovery's loss.",
    )
    sibling: bool = Field(
        default=True,
        description="Also train the sibling of this stage, the stock narrower network to compare with, and of what is"
        " distilled from it.",
    )

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
