"""How long the exported network takes: what a latency budget is about is the file that ships, not the torch module."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from torch import nn

from compress.core.spec import ModelSpec
from compress.core.stage import SilentReporter
from compress.core.storage import write_bytes
from compress.graph.from_torch import to_onnx
from compress.lower.walk import lower
from compress.measure.latency import Timing, measure_latency
from compress.models.build import describe
from compress.runtime.open import open_model
from compress.runtime.tflite_meta import embed_spec

Runtime = Literal["onnx", "tflite"]
_TIMING = Timing(warmup=20, repeats=400, budget_s=1.0)


def exported_latency_ms(models: Mapping[str, nn.Module], spec: ModelSpec, runtime: Runtime) -> dict[str, float]:
    """Return name -> median milliseconds for one image on one thread; the models take turns.

    Args:
        models: name -> network with the classes and the preprocessing of `spec`.
        spec: gives the size of the image.
        runtime: the file is float32 ONNX for ONNX Runtime, or TFLite for LiteRT.
    """
    images_NCHW = np.random.default_rng(0).standard_normal((1, *spec.input_chw), dtype=np.float32)
    with tempfile.TemporaryDirectory(prefix="imgc-latency-") as folder:
        predictors = {}
        for index, (name, model) in enumerate(models.items()):
            described = describe(model, spec)
            exported = to_onnx(model, described, dynamic_batch=False)
            data = exported.SerializeToString() if runtime == "onnx" else embed_spec(lower(exported).data, described)
            path = Path(folder) / f"{index}.{runtime}"
            write_bytes(path, data)
            predictors[name] = open_model(path)
        found = measure_latency(predictors, dict.fromkeys(models, images_NCHW), _TIMING, SilentReporter())
    return {name: latency.p50_ms for name, latency in found.items()}
