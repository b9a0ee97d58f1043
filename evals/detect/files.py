"""The files that are compared: of a run's float detector, of its int8 and pruned ones, and of other tools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from compress.core.artifact import Artifact
from compress.core.boxes import BOXES, LOGITS
from compress.core.dataset import BoxesData
from compress.core.digest import sha256_file
from compress.core.formats import Format, format_of
from compress.core.spec import ModelSpec
from compress.core.stage import Reporter, RunContext, SilentReporter
from compress.data.dataset import Dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import normalize
from compress.errors import BackendMissingError, ModelFileError, UsageError
from compress.export.config import ExportConfig
from compress.export.stage import run as export
from compress.graph.metadata import embed_spec
from compress.runtime.detector import spec_in_file
from compress.runtime.tflite_cut import cut_at
from compress.runtime.tflite_meta import embed_spec as embed_in_tflite
from compress.runtime.tflite_predictor import TensorDetail, open_interpreter
from evals.int8.baselines import BASELINES
from evals.sentences.detection_rows import FLOAT, INT8_STAGES, OTHERS, PRUNED, SIBLING, SMALL, onnx_of, tflite_of

_CALIBRATION = 251  # images at most: all training images of the cards


@dataclass(frozen=True)
class Compared:
    """A file that is compared.

    Attributes:
        path: the file.
        before: name of the float file whose boxes it is to repeat; None for a network of its own.
    """

    path: Path
    before: str | None


def exported(source: Path, fmt: str, folder: Path, data: Path) -> Path:
    """Return the ONNX or TFLite file of a model, held against it on the images."""
    spec = spec_in_file(source)
    assert spec is not None
    artifact = Artifact(
        path=source,
        format=format_of(source),
        sha256=sha256_file(source),
        size_bytes=source.stat().st_size,
        stage_id=source.stem,
        kind="train",
        spec=spec,
        metrics={},
    )
    folder.mkdir(parents=True, exist_ok=True)
    images = BoxesData(kind="coco", path=data)
    ctx = RunContext(stage_dir=folder, seed=0, device="cpu", reporter=SilentReporter(), data=images)
    options = ExportConfig.model_validate({"format": fmt, "parity": {"min_agreement_pct": 90}})
    return folder / export(options, {"from": artifact}, ctx).file_name


def compared_files(run: Path, dataset: Dataset, data: Path, out: Path, reporter: Reporter) -> dict[str, Compared]:
    """Return name -> file of everything that is compared, the float ONNX file first.

    Args:
        run: folder of a run of recipes/cards_ssdlite_mobilenetv3_small.yaml; stages it has not are left out.
        dataset: whose training images the other tools calibrate on.
        data: the images, for our own exports' checks.
        out: where files are made.
        reporter: hears of tools that are left out, and why.
    """
    trained = _made(run, "train")
    if trained is None:
        raise UsageError(f"{run}: no stage 'train'", hint="give folders of runs of recipes/cards_*.yaml")
    floats = {fmt: exported(trained, fmt, out / "float", data) for fmt in ("onnx", "tflite")}
    before = onnx_of(FLOAT)
    found = {
        before: Compared(floats["onnx"], before),
        tflite_of(FLOAT): Compared(floats["tflite"], before),
    }
    for name, stage in INT8_STAGES.items():
        if path := _made(run, stage):
            found |= _both(name, path, before, out, data)
    for name, stage in ((PRUNED, "distill"), (SIBLING, "distill-sibling")):
        if path := _made(run, stage):
            found[onnx_of(name)] = Compared(exported(path, "onnx", out / stage, data), None)
    if path := _made(run, "small"):
        found |= _both(SMALL, path, onnx_of(PRUNED), out, data)
    return found | {
        name: Compared(path, before) for name, path in _of_other_tools(floats["onnx"], dataset, out, reporter)
    }


def _made(run: Path, stage: str) -> Path | None:
    """Return the model file of a stage, None where the run has none."""
    folders = [one for one in run.iterdir() if one.name.partition("-")[2] == stage]
    paths = [folder / name for folder in folders for name in ("model.safetensors", "model.onnx")]
    return next((path for path in paths if path.is_file()), None)


def _both(name: str, path: Path, before: str, out: Path, data: Path) -> dict[str, Compared]:
    lowered = exported(path, "tflite", out / path.parent.name, data)
    return {onnx_of(name): Compared(path, before), tflite_of(name): Compared(lowered, before)}


def _of_other_tools(float_onnx: Path, dataset: Dataset, out: Path, reporter: Reporter) -> Iterator[tuple[str, Path]]:
    """Yield what each of the tools that are installed makes of the float file, by its documented recipe."""
    spec = spec_in_file(float_onnx)
    assert spec is not None
    pixels_NHWC = evaluation_pixels(dataset.splits["train"], spec.preprocess, SilentReporter())[:_CALIBRATION]
    images_NCHW = normalize(np.asarray(pixels_NHWC), spec.preprocess)
    for tool in BASELINES:
        if tool.name not in OTHERS:
            continue
        path = out / f"{tool.name}.{tool.format}"
        try:
            tool.write(float_onnx, images_NCHW, path)
            _describe(path, spec)
        except (BackendMissingError, ModelFileError) as error:  # not installed, or its file opens in no runtime here
            reporter.warn(f"{tool.title}: {error}")
            continue
        yield OTHERS[tool.name], path


def _describe(path: Path, spec: ModelSpec) -> None:
    """Write into a file of another tool what its numbers mean."""
    if format_of(path) is Format.TFLITE:
        ends = open_interpreter(path, 1, None)[0].get_output_details()
        boxes, logits = sorted((str(one["name"]) for one in ends), key=lambda name: _last(ends, name) != 4)
        cut = cut_at(path.read_bytes(), (boxes, logits), (BOXES, LOGITS), path)
        path.write_bytes(embed_in_tflite(cut, spec))
        return
    model = onnx.load(path)
    embed_spec(model, spec)
    onnx.save(model, path)


def _last(ends: Sequence[TensorDetail], name: str) -> int:
    return int(next(one["shape"] for one in ends if one["name"] == name)[-1])
