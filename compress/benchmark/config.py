"""Options of the benchmark stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from compress.core.formats import MODEL_FORMATS, Format
from compress.core.stage import StageConfig

ROLE_PREFIX = "model:"  # the role of a measured model is this and its name: "model:train"

_Count = Annotated[int, Field(ge=1, le=256)]


class SweepOptions(BaseModel):
    """Other settings to time the same models in; empty times none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threads: tuple[_Count, ...] = Field(
        default=(), description="Numbers of threads that one call may use; default the stage's."
    )
    batch: tuple[_Count, ...] = Field(default=(), description="Numbers of images in one call; default the stage's.")
    callers: tuple[_Count, ...] = Field(default=(), description="Numbers of threads of one process that call at once.")


class BenchmarkConfig(StageConfig):
    """Measure accuracy, agreement, latency, memory and size of models, side by side."""

    consumes: ClassVar[frozenset[Format]] = frozenset(MODEL_FORMATS)
    entry_point: ClassVar[str] = "compress.benchmark.stage:run"
    version: ClassVar[int] = 5
    backends: ClassVar[tuple[str, ...]] = ("torch", "onnxruntime", "ai-edge-litert")
    of_the_moment: ClassVar[bool] = True
    knobs: ClassVar[tuple[str, ...]] = ("baseline", "threads", "repeats", "budget_s", "quick")

    kind: Literal["benchmark"] = Field(default="benchmark", description="Kind of the stage: `benchmark`.")
    models: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None, description="Stages or model files to measure; default every model above."
    )
    baseline: str | None = Field(
        default=None,
        description="The model that `top1_drop_pp` and `agreement_pct` compare with; default the first one measured.",
    )
    threads: _Count = Field(default=1, description="Threads that one call may use.")
    batch: _Count = Field(default=1, description="Images in one timed call.")
    repeats: int = Field(
        default=200,
        ge=5,
        le=100_000,
        description="Timed calls of each model at the machine's full speed, fewer when the time budget ends first.",
    )
    budget_s: float = Field(
        default=2.0,
        gt=0,
        le=600,
        description="Time budget of the timed calls of one model, in seconds; at least 5 calls are timed.",
    )
    quick: bool = Field(
        default=False,
        description="Measure in seconds: at most 50 calls and 0.4 s a model, taken once; no memory, no start.",
    )
    warmup: int = Field(default=10, ge=1, le=1000, description="Untimed calls before the timed ones.")
    limit: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Most images to ask, evenly spread over the split; default all."
    )
    split: Literal["test", "val"] = Field(
        default="test", description="Which images are asked. What chooses among models must not see the test images."
    )
    sweep: SweepOptions = Field(
        default=SweepOptions(),
        description="Other settings to time the same models in: threads and batches, each with each, and several "
        "callers at once.",
    )
    profile: bool = Field(default=False, description="Also time every operator of the ONNX and TFLite files.")

    @property
    def produces(self) -> Format:
        """Return BENCH: the measurements as JSON."""
        return Format.BENCH

    @property
    def takes_all(self) -> bool:
        """Return whether every model above is measured: none is named."""
        return self.models is None

    def references(self) -> dict[str, str | None]:
        """Return "model:<name>" -> name for the models named in the config and for the baseline."""
        names = list(self.models or ())
        if self.baseline is not None and self.baseline not in names:
            names.insert(0, self.baseline)
        return {ROLE_PREFIX + name: name for name in names}

    def references_among(self, above: Sequence[str]) -> dict[str, str | None]:
        """Return a role for each stage above too, where none is named."""
        roles: dict[str, str | None] = {ROLE_PREFIX + name: name for name in above} if self.takes_all else {}
        return roles | self.references()
