"""One architecture through one exporter, in a process of its own: `python -m evals.coverage.one NAME EXPORTER`.

Prints one line of JSON: what came through, and what stopped the rest.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from compress.core.artifact import Artifact
from compress.core.formats import Format
from compress.core.preprocess import Preprocess
from compress.core.stage import SilentReporter
from compress.errors import ImgcError
from compress.graph.importer import import_classifier
from compress.graph.versions import with_fixed_batch
from compress.lower.walk import lower
from compress.models.library_archs import untrained_library_model
from compress.quantize.config import QuantizeConfig
from compress.quantize.ptq.reconstruct import Reconstruction
from compress.quantize.ptq.static import CalibrationImages, StaticOptions, quantize_statically
from compress.quantize.source import float_graph
from compress.runtime.open import open_predictor
from evals.coverage.architectures import MOST_PARAMETERS

_CLASSES = tuple(str(index) for index in range(10))
_IMAGES = 8
_FLOAT_BOUND, _INT8_BOUND = 1e-3, 0.1  # of the largest difference, to the range of the answers


def measure(name: str, exporter: str) -> dict[str, Any]:
    """Return one row; `stopped` says what ended it, "" where all came through."""
    row: dict[str, Any] = {"name": name, "exporter": exporter, "float": False, "onnx_int8": False, "tflite_int8": False}
    model, spec = untrained_library_model(name, _CLASSES)
    row["params"] = sum(parameter.numel() for parameter in model.parameters())
    if row["params"] > MOST_PARAMETERS:
        return {**row, "stopped": "too large"}
    px = spec.preprocess.crop_px
    prepare = Preprocess(resize_px=px, crop_px=px)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            _export(_livelier(model.eval()), px, exporter, path)
        except Exception as error:  # torch's exporters raise whatever they meet
            return {**row, "stopped": f"torch's exporter: {_first_line(error)}", "exported": False}
        row["exported"] = True
        images_NCHW = np.random.default_rng(0).standard_normal((2, 3, px, px), dtype=np.float32)
        wanted_NK = open_predictor(path, preprocess=prepare).predict(images_NCHW)
        steps: list[tuple[str, Callable[[], dict[str, Any]]]] = [
            ("float", lambda: _float(path, prepare, images_NCHW, wanted_NK)),
            ("int8", lambda: _int8(path, prepare, images_NCHW, wanted_NK)),
        ]
        stopped = []
        for what, step in steps:
            try:
                row |= step()
            except ImgcError as error:
                stopped.append(f"{what}: {error.message}".replace(str(path), "model.onnx"))
            except Exception as error:  # a traceback: the row says so
                stopped.append(f"{what}: TRACEBACK {type(error).__name__}: {_first_line(error)}")
        return {**row, "stopped": " | ".join(stopped)}


def _livelier(model: nn.Module) -> nn.Module:
    """Give batch norms statistics as after training, so that random networks neither die out nor explode."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    return model


def _export(model: nn.Module, px: int, exporter: str, path: Path) -> None:
    images = torch.randn(1, 3, px, px)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        if exporter == "dynamo":
            program = torch.onnx.export(model, (images,), dynamo=True, verbose=False)
            assert program is not None, "the exporter gives a program"
            onnx.save(program.model_proto, path)
        else:
            torch.onnx.export(model, (images,), str(path), dynamo=False, opset_version=17)


def _float(
    path: Path, prepare: Preprocess, images_NCHW: NDArray[np.float32], wanted_NK: NDArray[np.float32]
) -> dict[str, Any]:
    data = lower(with_fixed_batch(import_classifier(path).model)).data
    found_NK, partitions = _answers(data, path, prepare, images_NCHW)
    difference = _difference(found_NK, wanted_NK)
    return {"float": difference <= _FLOAT_BOUND, "float_difference": difference, "float_partitions": partitions}


def _int8(
    path: Path, prepare: Preprocess, images_NCHW: NDArray[np.float32], wanted_NK: NDArray[np.float32]
) -> dict[str, Any]:
    artifact = Artifact(
        stage_id="s", kind="file", format=Format.ONNX, path=path, sha256="0" * 64, size_bytes=1, spec=None, metrics={}
    )
    model, _ = float_graph(artifact, prepare)
    config = QuantizeConfig()
    none = Reconstruction(steps=0, batch_size=8, lr=0.0, lr_scale=0.0)
    options = StaticOptions(config.range_rule, config.percentile, config.hard_swish, (), False, none)
    px = prepare.crop_px
    pixels = np.random.default_rng(1).integers(0, 256, (_IMAGES, px, px, 3), dtype=np.uint8)
    rounded = quantize_statically(
        model, CalibrationImages(pixels, prepare), options, seed=0, reporter=SilentReporter()
    ).to_qdq(config.activation)
    int8 = path.with_name("int8.onnx")
    onnx.save(rounded, int8)
    onnx_NK = open_predictor(int8, preprocess=prepare).predict(images_NCHW)
    row: dict[str, Any] = {"onnx_int8": bool(np.isfinite(onnx_NK).all()), "int8_drift": _difference(onnx_NK, wanted_NK)}
    found_NK, partitions = _answers(lower(with_fixed_batch(rounded)).data, path, prepare, images_NCHW)
    difference = _difference(found_NK, onnx_NK)
    return row | {
        "tflite_int8": difference <= _INT8_BOUND, "int8_difference": difference, "int8_partitions": partitions
    }  # fmt: skip


def _answers(
    data: bytes, path: Path, prepare: Preprocess, images_NCHW: NDArray[np.float32]
) -> tuple[NDArray[np.float32], int]:
    from compress.runtime.tflite_predictor import TflitePredictor

    file = path.with_suffix(".tflite")
    file.write_bytes(data)
    predictor = TflitePredictor(file, threads=1, preprocess=prepare)
    return predictor.predict(images_NCHW), predictor.delegate_partitions


def _difference(found_NK: NDArray[np.float32], wanted_NK: NDArray[np.float32]) -> float:
    span = max(float(np.ptp(wanted_NK)), 1e-6)
    return float(np.abs(found_NK - wanted_NK).max()) / span


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], sys.argv[2])) + "\n")
