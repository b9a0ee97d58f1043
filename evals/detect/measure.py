"""Detectors by mAP and milliseconds: `python -m evals.detect.measure RUN [RUN ...] --data DIR`.

Accuracy is of the validation and the test images together, all on the same ones, which no file was calibrated on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from compress.cli.reporter import PlainReporter
from compress.core.dataset import BoxesData
from compress.core.stage import Reporter
from compress.data.dataset import Split, load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import placement
from compress.detect.answers import Boxes, above
from compress.detect.bootstrap import draws, interval, map_pct, ranked
from compress.detect.match import agreement_pct
from compress.detect.precision import EVAL_THRESHOLD, average_precision
from compress.measure.latency import Timing, measure_latency
from compress.runtime.detector import Detector, open_detector
from evals.detect.files import Compared, compared_files
from evals.detect.table import Judged, detection_block
from evals.pages.pages import publish
from evals.results.provenance import measured_now
from evals.sentences.detection_rows import FLOAT, onnx_of

Weights = NDArray[np.int64]
Drops = NDArray[np.float64]
_BATCH = 16
_TIMING = Timing(warmup=20, repeats=400, budget_s=3.0, retakes=2)


@dataclass(frozen=True)
class _Answered:
    boxes_N: list[Boxes]
    threshold: float

    def shown(self) -> list[Boxes]:
        return [above(boxes, self.threshold) for boxes in self.boxes_N]


def _both(data: Path, reporter: Reporter) -> tuple[Split, tuple[str, ...]]:
    """Return the validation and test images as one split, and the labels."""
    dataset = load_dataset(BoxesData(kind="coco", path=data), seed=0, reporter=reporter, task="detect")
    val, test = dataset.splits["val"], dataset.splits["test"]
    both = Split("val and test", val.paths + test.paths, (), val.boxes_N + test.boxes_N)
    return both, dataset.labels


def _answers(detector: Detector, split: Split, reporter: Reporter) -> _Answered:
    pixels_NHWC = evaluation_pixels(split, detector.spec.preprocess, reporter)
    places = [placement(known.size, detector.spec.preprocess) for known in split.boxes_N]
    found: list[Boxes] = []
    with reporter.progress(str(detector.path), len(split)) as advance:
        for start in range(0, len(split), _BATCH):
            part = slice(start, start + _BATCH)
            found += detector.detect(pixels_NHWC[part], places[part], score_threshold=EVAL_THRESHOLD)
            advance(len(pixels_NHWC[part]))
    return _Answered(found, detector.coding.score_threshold)


@dataclass(frozen=True)
class _Seed:
    """A run's files, opened, and what they answer."""

    files: dict[str, Compared]
    detectors: dict[str, Detector]
    answered: dict[str, _Answered]

    def drop_R(self, name: str, split: Split, classes: int, weights_RN: Weights) -> Drops:  # noqa: N802 - R draws
        """Return by how much a file's mAP is below the float ONNX file's, in each draw of images."""
        first, second = (
            map_pct(ranked(split.boxes_N, self.answered[one].boxes_N, classes), weights_RN)
            for one in (onnx_of(FLOAT), name)
        )
        return np.asarray(first - second)

    def agreement_pct(self, name: str, before: str | None) -> float | None:
        """Return the share of boxes that two files agree on."""
        if before is None:
            return None
        return agreement_pct(self.answered[before].shown(), self.answered[name].shown())


def _opened(run: Path, data: Path, out: Path, split: Split, reporter: Reporter) -> _Seed:
    dataset = load_dataset(BoxesData(kind="coco", path=data), seed=0, reporter=reporter, task="detect")
    files = compared_files(run, dataset, data, out / run.name, reporter)
    detectors = {name: open_detector(one.path) for name, one in files.items()}
    return _Seed(files, detectors, {name: _answers(one, split, reporter) for name, one in detectors.items()})


def _judged(name: str, seeds: Sequence[_Seed], split: Split, labels: Sequence[str], p50_ms: float) -> Judged:
    """Return what a file is worth: means over the seeds that have it, and an interval of the mean drop."""
    seeds = [one for one in seeds if name in one.answered]
    weights_RN = draws(len(split))
    worth = [average_precision(split.boxes_N, one.answered[name].boxes_N, len(labels)) for one in seeds]
    drop_R = np.mean([one.drop_R(name, split, len(labels), weights_RN) for one in seeds], axis=0)
    first = seeds[0]
    twin = name.replace("TFLite", "ONNX")
    return Judged(
        name=name,
        seeds=len(seeds),
        map_pct=fmean(one.map_pct for one in worth),
        map50_pct=fmean(one.map50_pct for one in worth),
        drop_ci_pp=interval(drop_R),
        agreement_pct=_mean(one.agreement_pct(name, one.files[name].before) for one in seeds),
        runtimes_agree_pct=_mean(
            one.agreement_pct(name, twin if twin != name and twin in one.answered else None) for one in seeds
        ),
        size_bytes=first.files[name].path.stat().st_size,
        p50_ms=p50_ms,
        partitions=first.detectors[name].delegate_partitions,
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def main() -> None:
    """Compare the files of runs that differ by their seed, and write docs/results/detection."""
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs of one recipe with different seeds")
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", default=Path("build/detect"), type=Path)
    asked = parser.parse_args()
    reporter = PlainReporter(sys.stderr)
    split, labels = _both(asked.data, reporter)
    seeds = [_opened(run, asked.data, asked.out, split, reporter) for run in asked.runs]
    detectors = {name: detector for one in reversed(seeds) for name, detector in one.detectors.items()}
    image = np.zeros((1, *detectors[onnx_of(FLOAT)].spec.input_chw), np.float32)
    times = measure_latency(detectors, dict.fromkeys(detectors, image), _TIMING, reporter)
    rows = [_judged(name, seeds, split, labels, times[name].p50_ms) for name in detectors]
    publish("detection", (detection_block(rows, len(split), len(seeds), measured_now()),))


if __name__ == "__main__":
    main()
