"""Detectors by mAP and milliseconds: `python -m evals.detect.measure --float FILE --data DIR [NAME=INT8.onnx ...]`.

Accuracy is of the validation and the test images together, all on the same ones, which no file was calibrated on.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
from evals.detect.files import FLOAT_ONNX, FLOAT_TFLITE, compared_files
from evals.detect.table import Judged, detection_block
from evals.pages.pages import publish
from evals.results.provenance import measured_now

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


def main() -> None:
    """Compare the files and write docs/results/detection."""
    parser = argparse.ArgumentParser()
    parser.add_argument("int8", nargs="*", help="NAME=FILE.onnx, as `imgc quantize` wrote it")
    parser.add_argument("--float", required=True, type=Path, dest="float_file")
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", default=Path("build/detect"), type=Path)
    asked = parser.parse_args()
    reporter = PlainReporter(sys.stderr)
    int8 = {name: Path(path) for name, _, path in (one.partition("=") for one in asked.int8)}
    split, labels = _both(asked.data, reporter)
    dataset = load_dataset(BoxesData(kind="coco", path=asked.data), seed=0, reporter=reporter, task="detect")
    files = compared_files(asked.float_file, int8, dataset, asked.data, asked.out)
    detectors = {name: open_detector(path) for name, path in files.items()}
    answered = {name: _answers(one, split, reporter) for name, one in detectors.items()}
    weights_RN = draws(len(split))
    float_R = map_pct(ranked(split.boxes_N, answered[FLOAT_ONNX].boxes_N, len(labels)), weights_RN)
    image = np.zeros((1, *detectors[FLOAT_ONNX].spec.input_chw), np.float32)
    times = measure_latency(detectors, dict.fromkeys(detectors, image), _TIMING, reporter)
    rows = []
    for name, one in answered.items():
        worth = average_precision(split.boxes_N, one.boxes_N, len(labels))
        drop_R = float_R - map_pct(ranked(split.boxes_N, one.boxes_N, len(labels)), weights_RN)
        twin = answered.get(name.replace("TFLite", "ONNX"))
        rows.append(
            Judged(
                name=name,
                map_pct=worth.map_pct,
                map50_pct=worth.map50_pct,
                drop_ci_pp=interval(drop_R),
                agreement_pct=agreement_pct(answered[FLOAT_ONNX].shown(), one.shown()),
                runtimes_agree_pct=agreement_pct(twin.shown(), one.shown()) if twin and "TFLite" in name else None,
                size_bytes=files[name].stat().st_size,
                p50_ms=times[name].p50_ms,
                partitions=detectors[name].delegate_partitions,
            )
        )
    twins = (FLOAT_ONNX, FLOAT_TFLITE)
    publish("detection", (detection_block(rows, len(split), twins, measured_now()),))


if __name__ == "__main__":
    main()
