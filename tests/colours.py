"""A hand-made model file whose logits are the mean of each colour, and an image for it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from compress.core.preprocess import Preprocess
from compress.core.spec import SPEC_KEY, ModelSpec

SPEC = ModelSpec(
    arch="colours",
    labels=("red", "green", "blue"),
    input_chw=(3, 32, 32),
    preprocess=Preprocess(resize_px=40, crop_px=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3)),
)


def colours_file(path: Path) -> Path:
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", *SPEC.input_chw])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])
    graph = helper.make_graph(nodes, "colours", [images], [logits])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {SPEC_KEY: SPEC.model_dump_json()})
    path.write_bytes(model.SerializeToString())
    onnx.checker.check_model(model)
    return path


def jpeg(size: tuple[int, int] = (500, 400), seed: int = 0) -> bytes:
    """Return a JPEG of smooth noise: large enough to be decoded at a reduced scale, different everywhere."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
    return file.getvalue()
