"""The files that are compared: of a float detector, of our int8 ones, and of ONNX Runtime's quantizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from compress.core.artifact import Artifact
from compress.core.dataset import BoxesData
from compress.core.digest import sha256_file
from compress.core.formats import format_of
from compress.core.stage import RunContext, SilentReporter
from compress.data.dataset import Dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import normalize
from compress.export.config import ExportConfig
from compress.export.stage import run as export
from compress.graph.metadata import embed_spec
from compress.runtime.detector import spec_in_file
from evals.int8.baselines import ort_default, ort_per_tensor

FLOAT_ONNX, FLOAT_TFLITE = "float, ONNX", "float, TFLite"
ORT_DEFAULT, ORT_PER_TENSOR = "ONNX Runtime `quantize_static`", "the same, per tensor"
_CALIBRATION = 251  # images at most: all training images of the cards


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


def compared_files(
    float_file: Path, int8: Mapping[str, Path], dataset: Dataset, data: Path, out: Path
) -> dict[str, Path]:
    """Return name -> file of everything that is compared, the float ONNX file first.

    Args:
        float_file: of the training.
        int8: name -> ONNX file that imgc quantized.
        dataset: whose training images ONNX Runtime's quantizer calibrates on.
        data: the images, for our own exports' checks.
        out: where files are made.
    """
    files = {fmt: exported(float_file, fmt, out / "float", data) for fmt in ("onnx", "tflite")}
    found = {FLOAT_ONNX: files["onnx"], FLOAT_TFLITE: files["tflite"]}
    for name, path in int8.items():
        found[f"{name}, ONNX"] = path
        found[f"{name}, TFLite"] = exported(path, "tflite", out / name.replace(" ", "-"), data)
    spec = spec_in_file(files["onnx"])
    assert spec is not None
    train = dataset.splits["train"]
    pixels_NHWC = np.asarray(evaluation_pixels(train, spec.preprocess, SilentReporter())[:_CALIBRATION])
    images_NCHW = normalize(pixels_NHWC, spec.preprocess)
    for name, quantize in ((ORT_DEFAULT, ort_default), (ORT_PER_TENSOR, ort_per_tensor)):
        path = out / f"{quantize.__name__}.onnx"
        quantize(files["onnx"], images_NCHW, path)
        model = onnx.load(path)
        embed_spec(model, spec)
        onnx.save(model, path)
        found[name] = path
    return found
