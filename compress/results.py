"""What the functions of `import compress` return: plain, frozen, typed. Percentages are 0..100, times milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Prediction:
    """One class: its index, its name, and the share it got, 0..1."""

    index: int
    label: str
    score: float


@dataclass(frozen=True)
class Classification:
    """What a model says of one image: its best classes, best first, at least one."""

    predictions: tuple[Prediction, ...]

    @property
    def label(self) -> str:
        """Return the name of the best class."""
        return self.predictions[0].label

    @property
    def score(self) -> float:
        """Return the share of the best class, 0..1."""
        return self.predictions[0].score


@dataclass(frozen=True)
class EvaluationResult:
    """The accuracy of a model file on labelled images; the last three are None without a baseline.

    Attributes:
        n_images: labelled images asked.
        top1_pct: share whose best class is the label.
        top1_ci95_pct: 95 % Wilson interval of `top1_pct`.
        top5_pct: share whose label is among the five best classes.
        baseline_top1_pct: the baseline's `top1_pct` on the same images.
        top1_drop_pp: the baseline's `top1_pct` minus this one's, in percentage points.
        agreement_pct: share of equal best classes.
    """

    n_images: int
    top1_pct: float
    top1_ci95_pct: tuple[float, float]
    top5_pct: float
    baseline_top1_pct: float | None = None
    top1_drop_pp: float | None = None
    agreement_pct: float | None = None


@dataclass(frozen=True)
class StageResult:
    """One stage of a run.

    Attributes:
        id: of the stage in the recipe.
        kind: such as "train" or "quantize".
        path: the file it made.
        sha256: of that file, 64 hex digits.
        size_bytes: of that file.
        seconds: of wall-clock time when it was made.
        reused: whether it was sealed already, and nothing was computed this time.
        metrics: numbers that the stage itself found, by name.
    """

    id: str
    kind: str
    path: Path
    sha256: str
    size_bytes: int
    seconds: float
    reused: bool
    metrics: dict[str, float | int | str | bool | None]


@dataclass(frozen=True)
class GateResult:
    """One bound of a gate: `metric` of the stage `at`, its `limit`, the `value` found (None: not measured)."""

    metric: str
    at: str
    limit: float
    value: float | None
    passed: bool


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder, its stages in order, its gates. The folder holds report.json, .md and .html."""

    run_dir: Path
    stages: tuple[StageResult, ...]
    gates: tuple[GateResult, ...]

    @property
    def passed(self) -> bool:
        """Return whether every gate holds; True where there are none."""
        return all(gate.passed for gate in self.gates)

    def stage(self, stage_id: str) -> StageResult:
        """Return the stage with this id.

        Raises:
            KeyError: there is none.
        """
        for stage in self.stages:
            if stage.id == stage_id:
                return stage
        raise KeyError(stage_id)


@dataclass(frozen=True)
class BenchmarkRow:
    """The measurements of one model; None where a number could not be measured or was not asked for.

    Attributes:
        name: the shortest end of the file's path that no other model has.
        path: the file.
        size_bytes: of the file.
        params: learned parameters of the float model; None for another tool's file.
        macs: multiply-accumulates of one image.
        runtime: library and version that computed.
        latency_p50_ms: median time of one call.
        latency_p95_ms: 95 % of the calls took no longer.
        throughput_ips: images per second over all timed calls.
        peak_rss_bytes: most memory a fresh process held while it loaded and ran the model.
        stable: whether the times can be trusted (see `warnings` of the result).
        n_images: labelled images behind the accuracies.
        top1_pct: share whose best class is the label.
        top1_ci95_pct: 95 % Wilson interval of `top1_pct`.
        top5_pct: share whose label is among the five best classes.
        top1_drop_pp: the baseline's `top1_pct` minus this one's, in percentage points.
        agreement_pct: share of best classes equal to the baseline's.
        error: why a part of the row could not be measured.
    """

    name: str
    path: str
    size_bytes: int
    params: int | None
    macs: int | None
    runtime: str | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    throughput_ips: float | None
    peak_rss_bytes: int | None
    stable: bool | None
    n_images: int | None
    top1_pct: float | None
    top1_ci95_pct: tuple[float, float] | None
    top5_pct: float | None
    top1_drop_pp: float | None
    agreement_pct: float | None
    error: str | None


@dataclass(frozen=True)
class BenchmarkResult:
    """Models measured side by side.

    Attributes:
        rows: one for each model that could be opened, in the order given.
        baseline: `name` of the row that the others are compared with.
        warnings: why times should not be trusted, if so.
        failed: model -> why nothing could be measured of it.
        bench: all that was measured, as `bench.json` holds it (see compress/benchmark/bench.schema.json).
    """

    rows: tuple[BenchmarkRow, ...]
    baseline: str
    warnings: tuple[str, ...]
    failed: dict[str, str]
    bench: dict[str, Any]
