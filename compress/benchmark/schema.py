"""The measurements as types: one `Row` for each model. `bench.json` and `report.json` are these models, dumped."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from compress.core.formats import Format, Precision


class Row(BaseModel):
    """One model. What was not measured is None; NaN and infinity are refused.

    Attributes:
        stage: id of the stage that made it.
        path: the file, relative to the run's folder where it lies in it.
        params: learned parameters of the float model; None for another tool's file.
        macs: multiply-accumulates of one image.
        n_images: test pictures behind the four accuracy figures.
        top1_ci95_pct: 95 % Wilson interval of `top1_pct`.
        top5_pct: label among the min(5, classes) best answers.
        top1_drop_pp: baseline's `top1_pct` minus this one's; negative is better than the baseline.
        agreement_pct: same top-1 answer as the baseline.
        runtime: library and version that computed.
        latency_p50_ms: median time of one call of `batch` images, without preprocessing.
        throughput_ips: images per second over all timed calls.
        peak_rss_bytes: most memory a fresh process held while it loaded and ran the model; Python and runtime included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    stage: str
    format: Format
    precision: Precision | None
    path: str
    sha256: str
    size_bytes: int
    params: int | None
    macs: int | None
    n_images: int | None = None
    top1_pct: float | None = None
    top1_ci95_pct: tuple[float, float] | None = None
    top5_pct: float | None = None
    top1_drop_pp: float | None = None
    agreement_pct: float | None = None
    runtime: str | None = None
    threads: int | None = None
    batch: int | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    throughput_ips: float | None = None
    peak_rss_bytes: int | None = None


class Bench(BaseModel):
    """What `bench.json` holds.

    Attributes:
        host: the machine, as `compress.runtime.host.host` describes it.
        baseline: `stage` of the row that the others are compared with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    host: dict[str, Any]
    baseline: str
    rows: tuple[Row, ...]
