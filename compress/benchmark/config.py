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
    """Other settings to time the same models in; empty times none.

    Attributes:
        threads: threads that one call may use; default the stage's.
        batch: images in one call; default the stage's.
        callers: threads of one process that call at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    threads: tuple[_Count, ...] = ()
    batch: tuple[_Count, ...] = ()
    callers: tuple[_Count, ...] = ()


class BenchmarkConfig(StageConfig):
    """Measure accuracy, agreement, latency, memory and size of models, side by side.

    Attributes:
        models: stages (or model files) to measure; default every model above. With the default, `references` names only
            a given baseline, and `references_among` a role "model:<stage id>" for each model stage above.
        baseline: the model that `top1_drop_pp` and `agreement_pct` compare with; default the first one measured.
        threads: threads one call may use.
        batch: images in one timed call.
        repeats: timed calls for each model at the machine's full speed, fewer when the time budget ends first.
        budget_s: time budget of the timed calls of one model, in seconds; at least `latency.MIN_CALLS` calls are timed.
        warmup: untimed calls before them.
        limit: use so many images, evenly spread over the split; default all.
        split: which images are asked. What chooses among models must not see the test images.
        sweep: other threads and batches, each with each, and several callers at once.
        profile: also time every operator of the ONNX and TFLite files.
    """

    consumes: ClassVar[frozenset[Format]] = frozenset(MODEL_FORMATS)
    entry_point: ClassVar[str] = "compress.benchmark.stage:run"
    version: ClassVar[int] = 4
    backends: ClassVar[tuple[str, ...]] = ("torch", "onnxruntime", "ai-edge-litert")

    kind: Literal["benchmark"] = "benchmark"
    models: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    baseline: str | None = None
    threads: _Count = 1
    batch: _Count = 1
    repeats: Annotated[int, Field(ge=5, le=100_000)] = 200
    budget_s: Annotated[float, Field(gt=0, le=600)] = 2.0
    warmup: Annotated[int, Field(ge=1, le=1000)] = 10
    limit: Annotated[int, Field(ge=1)] | None = None
    split: Literal["test", "val"] = "test"
    sweep: SweepOptions = SweepOptions()
    profile: bool = False

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
