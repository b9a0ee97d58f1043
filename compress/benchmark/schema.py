"""The measurements as types: one `Row` for each model. `bench.json` and `report.json` are these models, dumped.

Other programs read them: a field is added, never renamed or removed.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, model_validator

from compress.benchmark.scenario_schema import Scenario
from compress.core.dataset import Task
from compress.core.fact import Fact
from compress.core.formats import Format, Precision


class SweepPoint(Fact):
    """One setting of a sweep over threads and batch; fields as in `Row`."""

    threads: int
    batch: int
    latency_p50_ms: float
    latency_p50_ci95_ms: tuple[float, float] | None
    throughput_ips: float


class ConcurrentPoint(Fact):
    """Several callers at once in one process, each with the row's batch; times of one call."""

    callers: int
    throughput_ips: float
    latency_p50_ms: float
    latency_p99_ms: float


class OpTime(Fact):
    """What one operator of the graph takes.

    Attributes:
        name: of the node; a runtime that fused several says so in its own words.
        op: type of the operator.
        ms: mean time in one call.
        share_pct: of the time of all operators.
        delegated: whether a faster kernel than the runtime's reference one ran it; None where nobody says.
    """

    name: str
    op: str
    ms: float
    share_pct: float
    delegated: bool | None = None


class Failure(Fact):
    """A model that could not be measured: its name, its file and why."""

    name: str
    path: str
    error: str


class Row(Fact):
    """One model. What was not measured is None; NaN and infinity are refused.

    Attributes:
        stage: id of the stage that made it.
        path: the file, relative to the run's folder where it lies in it.
        params: learned parameters of the float model; None for another tool's file.
        macs: multiply-accumulates of one image.
        n_images: test images behind the four accuracy figures.
        top1_ci95_pct: 95 % Wilson interval of `top1_pct`.
        top5_pct: label among the min(5, classes) best answers.
        top1_drop_pp: baseline's `top1_pct` minus this one's; negative is better than the baseline.
        agreement_pct: same top-1 answer as the baseline; of a detector, boxes that match one of the baseline's.
        runtime: library and version that computed.
        latency_p50_ms: median time of the runtime's call for `batch` images that lie ready in the file's layout and
            numbers.
        throughput_ips: images per second over all timed calls.
        peak_rss_bytes: most memory a fresh process held while it loaded and ran the model; Python and runtime included.
        latency_p99_ms: has little meaning below 1000 calls.
        latency_p50_ci95_ms: 95 % interval of the median, likewise for the other percentiles; by bootstrap.
        latency_calls: timed calls that count.
        latency_left_out: timed calls that do not, since the machine was slower beside them than at its best.
        slowdown: how many times its best a fixed computation took beside the calls that count, median.
        latency_windows_ms: medians of the first, second and last third of the timed calls.
        stable: whether these are within 10 % of each other, and `slowdown` at most 1.1.
        cpu_ms: processor time of one call, over all threads.
        cold_start_ms: a fresh process, from opening the file to the first answer, without the start of Python.
        steady_rss_bytes: memory of that process after its calls.
        gzip_bytes: size of the file when compressed with gzip.
        ece_pct: expected calibration error of the softmax of the answers, 15 bins (Guo 2017, equation 3).
        recall_pct: class -> share of its images that were answered with it; classes without images are absent.
        lost: images that the baseline answers rightly and this one wrongly.
        gained: the reverse.
        mcnemar_p: probability of so uneven a split of `lost` and `gained` by chance alone (exact test).
        map_pct: of a detector, COCO's mean average precision over IoU 0.50:0.95.
        map_ci95_pct: its 95 % interval, by bootstrap over the images; likewise for the drop, paired.
        map50_pct: the same at IoU 0.50.
        map_drop_pp: baseline's `map_pct` minus this one's.
        class_map_pct: class -> its `map_pct`; classes without boxes are absent.
        class_map50_pct: class -> its `map50_pct`.
        size_map_pct: small, medium, large -> `map_pct` of the boxes of that size.
        score_threshold: least score of a box that the file shows; `agreement_pct` counts those boxes.
        postprocess_p50_ms: median time from the raw numbers of one image to its boxes, at that threshold.
        sweep: other threads and batches.
        concurrent: several callers at once.
        ops: what each operator takes, in the order of the graph; empty unless asked for.
        task: what the model does: name images, or find boxes.
        error: why a part of the row could not be measured.
    """

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
    latency_p90_ms: float | None = None
    latency_p99_ms: float | None = None
    latency_p50_ci95_ms: tuple[float, float] | None = None
    latency_p90_ci95_ms: tuple[float, float] | None = None
    latency_p95_ci95_ms: tuple[float, float] | None = None
    latency_p99_ci95_ms: tuple[float, float] | None = None
    latency_calls: int | None = None
    latency_windows_ms: tuple[float, ...] | None = None
    stable: bool | None = None
    cpu_ms: float | None = None
    cold_start_ms: float | None = None
    steady_rss_bytes: int | None = None
    gzip_bytes: int | None = None
    ece_pct: float | None = None
    recall_pct: dict[str, float] | None = None
    lost: int | None = None
    gained: int | None = None
    mcnemar_p: float | None = None
    sweep: tuple[SweepPoint, ...] = ()
    concurrent: tuple[ConcurrentPoint, ...] = ()
    ops: tuple[OpTime, ...] = ()
    map_pct: float | None = None
    map_ci95_pct: tuple[float, float] | None = None
    map50_pct: float | None = None
    map_drop_pp: float | None = None
    map_drop_ci95_pp: tuple[float, float] | None = None
    class_map_pct: dict[str, float] | None = None
    class_map50_pct: dict[str, float] | None = None
    size_map_pct: dict[str, float] | None = None
    score_threshold: float | None = None
    postprocess_p50_ms: float | None = None
    latency_left_out: int | None = None
    slowdown: float | None = None
    task: Task = "classify"
    error: str | None = None


class Bench(Fact):
    """What `bench.json` holds.

    Attributes:
        host: the machine, as `compress.runtime.host.host` describes it.
        baseline: `stage` of the row that the others are compared with.
        split: which images were asked; None when there were none.
        warnings: why numbers are missing or times should not be trusted, if so.
        failed: models of which nothing could be measured.
        scenarios: single-stream, offline and server, of a model named on the command line.
    """

    schema_version: Literal[1] = 1
    host: dict[str, object]
    baseline: str
    rows: tuple[Row, ...]
    split: str | None = "test"
    warnings: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()
    scenarios: tuple[Scenario, ...] = ()


def _of_one_folder(paths: tuple[str, ...]) -> tuple[str, ...]:
    if not all(paths) or len({path.startswith("/") for path in paths}) > 1:
        raise ValueError("all of one folder are needed, none empty")
    return paths


ImagePaths = Annotated[tuple[str, ...], AfterValidator(_of_one_folder)]


class Answers(Fact):
    """What `answers.json` beside a `bench.json` holds: what each classifier said to each image, in one order.

    Attributes:
        labels: class names in index order.
        paths: the images.
        truth: class index of each image.
        top1: row -> class index answered, for each image.
        confidence: row -> softmax of that answer, 0..1.
        truth_confidence: row -> softmax of the right class.
    """

    schema_version: Literal[1] = 1
    labels: tuple[str, ...]
    paths: ImagePaths
    truth: tuple[int, ...]
    top1: dict[str, tuple[int, ...]]
    confidence: dict[str, tuple[float, ...]]
    truth_confidence: dict[str, tuple[float, ...]]

    @model_validator(mode="after")
    def _is_of_the_same_images(self) -> Answers:
        count, classes = len(self.paths), len(self.labels)
        for name, indices in {"truth": self.truth, **self.top1}.items():
            if len(indices) != count or not all(0 <= index < classes for index in indices):
                raise ValueError(f"{name}: {count} class indices below {classes} are needed")
        for shares in (self.confidence, self.truth_confidence):
            if shares.keys() != self.top1.keys() or any(len(row) != count for row in shares.values()):
                raise ValueError(f"the rows {sorted(self.top1)} need {count} confidences each")
        return self
