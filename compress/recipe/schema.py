"""The recipe as a type. `AnyStage` is the one union of every room's config: a new stage is one line here."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from compress.benchmark.config import BenchmarkConfig
from compress.core.dataset import DataConfig
from compress.core.stage import StageConfig
from compress.distill.config import DistillConfig
from compress.export.config import ExportConfig
from compress.prune.config import PruneConfig
from compress.quantize.config import QuantizeConfig
from compress.train.config import TrainConfig

AnyStage = Annotated[
    TrainConfig | PruneConfig | DistillConfig | QuantizeConfig | ExportConfig | BenchmarkConfig,
    Field(discriminator="kind"),
]

RUN_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"  # the name of a folder below runs/
MAX_STAGES = 99
STAGE_METRICS = ("size_bytes", "params", "macs")  # known of any model; the others need a benchmark
GateMetric = Literal[
    "size_bytes",
    "params",
    "macs",
    "top1_pct",
    "top5_pct",
    "top1_drop_pp",
    "agreement_pct",
    "latency_p50_ms",
    "latency_p95_ms",
    "throughput_ips",
    "peak_rss_bytes",
]


class Gate(BaseModel):
    """A bound that must hold at the end of a run.

    Attributes:
        metric: what is bounded; the unit is the last word of its name.
        at: id of the stage whose artifact is judged.
        baseline: id of the stage that `top1_drop_pp` counts from; default the benchmark's baseline.
        min: smallest value allowed.
        max: largest value allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: GateMetric
    at: str
    baseline: str | None = None
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Gate:
        if self.min is None and self.max is None:
            raise ValueError("a gate needs min or max")
        if self.baseline is not None and self.metric != "top1_drop_pp":
            raise ValueError(f"baseline is for top1_drop_pp only, found metric {self.metric}")
        return self


class Recipe(BaseModel):
    """A run as intent.

    Attributes:
        imgc: version of this format.
        name: name of the run and of its folder.
        seed: the seed of everything random.
        data: where the images are; may be missing when no stage reads any.
        stages: in run order; a stage may name only stages above it.
        gates: checked when all stages are done.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    imgc: Literal[1]
    name: Annotated[str, Field(pattern=RUN_NAME)]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataConfig | None = None
    stages: tuple[AnyStage, ...]
    gates: tuple[Gate, ...] = ()

    @field_validator("stages")
    @classmethod
    def _some_stages(cls, value: tuple[StageConfig, ...]) -> tuple[StageConfig, ...]:
        if not 1 <= len(value) <= MAX_STAGES:
            raise ValueError(f"a recipe has 1 to {MAX_STAGES} stages, found {len(value)}")
        return value

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, value: str) -> str:
        if value == "latest":
            raise ValueError("'latest' is the link to the newest run; choose another name")
        return value


def stage_kinds() -> dict[str, type[StageConfig]]:
    """Return kind -> config class for every stage, in the order of a chain."""
    configs = get_args(get_args(AnyStage)[0])
    return {config.model_fields["kind"].default: config for config in configs}
