"""The int8 tables: `python -m evals.int8.table RUNS` writes docs/results/int8.

Ours and the default recipes of other tools, made from the same float model and the same calibration images, judged on
the same images (validation and test) through one Predictor, and timed in turns with the float file of the same
runtime. Speed alone is measured at 224 px too, on networks with random weights, which cost the same.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.core.artifact import Artifact
from compress.core.formats import Format
from compress.core.spec import ModelSpec
from compress.core.stage import SilentReporter
from compress.data.dataset import Split, load_dataset
from compress.data.examine import content_sha256
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import normalize
from compress.errors import BackendMissingError, ImgcError, StageError, UsageError
from compress.graph.from_torch import to_onnx
from compress.models.weights import load_model
from compress.pipeline.current import load_run
from compress.pipeline.lock import artifact_at, read_lock
from compress.runtime.evaluate import evaluate
from compress.runtime.open import open_predictor
from compress.runtime.predictor import Floats
from evals.int8.baselines import BASELINES, versions
from evals.int8.compare import evaluate_file, latency_ratio, open_int8
from evals.int8.files import ratio_cell, write_float_files
from evals.int8.speed import speed_block
from evals.pages.pages import publish
from evals.results.provenance import measured_now
from evals.results.schema import Block, Cell, Column, Measured
from evals.sentences.int8 import OURS

RUNS = "clothing_int8_*"
COLUMNS = (
    Column(key="model", title="model", kind="text"),
    Column(key="runtime", title="runtime", kind="text"),
    Column(key="top1_pct", title="top-1 %", digits=2),
    Column(key="drop_pp", title="drop pp", digits=2),
    Column(key="agree_pct", title="agree %", digits=2),
    Column(key="int8_weight_pct", title="int8 weights %", digits=1),
    Column(key="partitions", title="partitions"),
    Column(key="ms", title="ms", digits=2),
    Column(key="of_float", title="of float", digits=2),
)


@dataclass(frozen=True)
class FloatModel:
    """The float model of a run in all three formats, and the images.

    Attributes:
        torch: the artifact of the train stage.
        files: format -> file.
        pixels_NHWC: validation and test images.
        labels_N: their class indices.
        logits_NK: the float model's answers to them.
        top1_pct: 0..100.
    """

    torch: Path
    files: dict[Format, Path]
    spec: ModelSpec
    pixels_NHWC: NDArray[np.uint8]
    labels_N: Sequence[int]
    logits_NK: Floats
    top1_pct: float


def int8_block(run_dir: Path, measured: Measured) -> Block:
    """Return a run's table: the float model, our int8 files, and those of other tools.

    Raises:
        StageError: the folder holds no run with a train and a quantize stage.
    """
    artifacts = _artifacts(run_dir)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = _float_model(run_dir, artifacts["train"], folder)
        rows: list[dict[str, Cell]] = [
            {
                "model": "fp32",
                "runtime": "torch",
                "top1_pct": model.top1_pct,
                "drop_pp": 0.0,
                "agree_pct": 100.0,
                "int8_weight_pct": 0.0,
            }
        ]
        for stage_id, artifact in artifacts.items():
            if artifact.kind in ("quantize", "export"):
                rows.append(_row(f"{OURS}{stage_id}", artifact.path, model))
        rows += _baseline_rows(run_dir, artifacts, model, folder)
    tools = ", ".join(f"{name} {version}" for name, version in versions().items())
    return Block(
        key=run_dir.name,
        title=f"`{run_dir.name}`",
        n={"images (validation and test)": len(model.labels_N)},
        setting=f"{model.spec.preprocess.crop_px} px, 1 thread, batch 1, {tools}",
        measured=measured,
        columns=COLUMNS,
        rows=tuple(rows),
    )


def _artifacts(run_dir: Path) -> dict[str, Artifact]:
    lock = read_lock(run_dir)
    found = {stage.id: artifact_at(run_dir, stage) for stage in lock.stages} if lock else {}
    if "train" not in found or not any(artifact.kind == "quantize" for artifact in found.values()):
        raise StageError(f"{run_dir}: has no train and quantize stage", hint="`make results-int8` makes the runs")
    return found


def _float_model(run_dir: Path, artifact: Artifact, folder: Path) -> FloatModel:
    module, spec = load_model(artifact.path)
    graph = to_onnx(module, spec)
    files = write_float_files(graph, spec, folder)
    recipe = load_run(run_dir).recipe
    if recipe.data is None:
        raise StageError(f"{run_dir}: the run has no images", hint="add a `data:` block")
    splits = load_dataset(recipe.data, seed=recipe.seed).splits
    both = [splits["val"], splits["test"]]
    reporter = SilentReporter()
    pixels_NHWC = np.concatenate([evaluation_pixels(split, spec.preprocess, reporter) for split in both])
    labels_N = [label for split in both for label in split.labels_N]
    judged = evaluate(open_predictor(artifact.path), pixels_NHWC, labels_N)
    return FloatModel(artifact.path, files, spec, pixels_NHWC, labels_N, judged.logits_NK, judged.top1_pct)


def _baseline_rows(
    run_dir: Path, artifacts: dict[str, Artifact], model: FloatModel, folder: Path
) -> Iterator[dict[str, Cell]]:
    """Yield a row for each other tool, from the calibration images of the run's first quantize stage."""
    stage = next(artifact for artifact in artifacts.values() if artifact.kind == "quantize")
    images_NCHW = normalize(_calibration_pixels(run_dir, stage, model), model.spec.preprocess)
    for baseline in BASELINES:
        source = model.torch if baseline.source is Format.TORCH else model.files[baseline.source]
        out = folder / f"{baseline.name}{'.tflite' if baseline.format is Format.TFLITE else '.onnx'}"
        try:
            baseline.write(source, images_NCHW, out)
            yield _row(baseline.title, out, model)
        except BackendMissingError:
            yield {"model": baseline.title, "runtime": "not installed"}
        except ImgcError as error:
            yield {"model": baseline.title, "runtime": f"failed: {error.message.splitlines()[0][:80]}"}


def _calibration_pixels(run_dir: Path, stage: Artifact, model: FloatModel) -> NDArray[np.uint8]:
    """Return the pixels of the images that the stage calibrated on, found again by their hashes."""
    recipe = load_run(run_dir).recipe
    assert recipe.data is not None
    wanted = {row["sha256"] for row in json.loads((stage.path.parent / "calibration.json").read_text(encoding="utf-8"))}
    train = load_dataset(recipe.data, seed=recipe.seed).splits["train"]
    chosen = [index for index, path in enumerate(train.paths) if content_sha256(path) in wanted]
    split = Split("calibration", tuple(train.paths[i] for i in chosen), tuple(train.labels_N[i] for i in chosen))
    return np.asarray(evaluation_pixels(split, model.spec.preprocess, SilentReporter()))


def _row(title: str, path: Path, model: FloatModel) -> dict[str, Cell]:
    judged = evaluate_file(path, model.spec, model.pixels_NHWC, model.labels_N, model.logits_NK)
    predictor = open_int8(path, model.spec)
    reference = open_predictor(model.files[predictor.format])
    image_NCHW = normalize(model.pixels_NHWC[:1], model.spec.preprocess)
    time = latency_ratio(predictor, reference, image_NCHW)
    return {
        "model": title,
        "runtime": predictor.runtime,
        "top1_pct": judged.top1_pct,
        "drop_pp": model.top1_pct - judged.top1_pct,
        "agree_pct": judged.agreement_pct,
        "int8_weight_pct": judged.int8_weight_pct,
        "partitions": getattr(predictor, "delegate_partitions", None),
        "ms": time.p50_ms,
        "of_float": ratio_cell(time),
    }


def main(runs_dir: Path) -> None:
    """Measure all runs and the speed at 224 px; write docs/results/int8.

    Raises:
        UsageError: there is no run.
    """
    found = sorted(path for path in runs_dir.glob(RUNS) if path.is_dir())
    if not found:
        raise UsageError(f"{runs_dir}: holds no run {RUNS}", hint="`make results-int8` makes them")
    measured = measured_now("call")
    publish("int8", (*(int8_block(folder, measured) for folder in found), speed_block(measured)))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except ImgcError as error:
        sys.exit(f"{error.message}\n{error.hint}")
