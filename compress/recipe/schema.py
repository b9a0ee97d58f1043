"""The recipe as a type. `AnyStage` is the one union of every room's config: a new stage is one line here."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from compress.benchmark.config import BenchmarkConfig
from compress.core.dataset import DataConfig
from compress.core.names import RUN_NAME
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

MAX_STAGES = 99
STAGE_METRICS = ("size_bytes", "params", "macs")  # known of any model; the others need a benchmark
GateMetric = Literal[
    "size_bytes",
    "params",
    "macs",
    "top1_pct",
    "top5_pct",
    "top1_drop_pp",
    "map_pct",
    "map50_pct",
    "map_drop_pp",
    "postprocess_p50_ms",
    "agreement_pct",
    "latency_p50_ms",
    "latency_p95_ms",
    "throughput_ips",
    "peak_rss_bytes",
]


class Gate(BaseModel):
    """A bound that must hold at the end of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: GateMetric = Field(description="What is bounded; the unit is the last word of its name.")
    at: str = Field(description="Id of the stage whose artifact is judged.")
    baseline: str | None = Field(
        default=None, description="Id of the stage that a drop counts from; default the benchmark's baseline."
    )
    min: float | None = Field(default=None, description="Smallest value allowed.")
    max: float | None = Field(default=None, description="Largest value allowed.")

    @model_validator(mode="after")
    def _has_a_bound(self) -> Gate:
        if self.min is None and self.max is None:
            raise ValueError("a gate needs min or max")
        if self.baseline is not None and not self.metric.endswith("_drop_pp"):
            raise ValueError(f"baseline is for top1_drop_pp and map_drop_pp only, found metric {self.metric}")
        return self


class Recipe(BaseModel):
    """A run as intent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    imgc: Literal[1] = Field(description="Version of the recipe format.")
    name: str = Field(pattern=RUN_NAME, description="Name of the run and of its folder.")
    seed: int = Field(
        default=0, ge=0, lt=2**31, description="Seed of everything random: same seed, same data, same result."
    )
    data: DataConfig | None = Field(
        default=None, description="Where the images are; may be missing when no stage reads any."
    )
    stages: tuple[AnyStage, ...] = Field(description="Stages in run order; a stage may name only stages above it.")
    gates: tuple[Gate, ...] = Field(default=(), description="Bounds that are checked when all stages are done.")

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
