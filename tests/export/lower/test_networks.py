"""The families we ship, random weights, float and as another tool quantizes them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

from compress.export import tflite_checks
from compress.export.lower.walk import lower

SIDE = 64
NETWORKS = [
    "mobilenet_v3_small",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("squeezenet1_1", "tf_efficientnet_lite0", "mobilenetv2_100")
    ),
]


class _Pictures(CalibrationDataReader):
    def __init__(self, images):
        self._left = iter(images)

    def get_next(self):
        return next(({"images": image[None]} for image in self._left), None)


def _network(name: str):
    import timm
    import torch
    import torchvision

    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name in ("mobilenet_v3_small", "squeezenet1_1"):
            model = getattr(torchvision.models, name)(weights=None, num_classes=5)
        else:
            model = timm.create_model(name, num_classes=5)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return model.eval()


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, tmp_path_factory) -> tuple[str, Path]:
    import torch

    path = tmp_path_factory.mktemp("net") / "float.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _network(request.param), (torch.zeros(2, 3, SIDE, SIDE),), dynamo=True, opset_version=18,
            input_names=["images"], output_names=["logits"], dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )  # fmt: skip
    onnx.save(program.model_proto, path)
    return request.param, path


def test_float(network, images, same, ops):
    name, path = network
    lowered = same(onnx.load(path), images((3, SIDE, SIDE), count=2))
    assert "TRANSPOSE" not in ops(lowered.data), name


@pytest.mark.filterwarnings("ignore")  # onnxruntime's quantizer recommends pre-processing through the root logger
def test_quantized_by_onnxruntime(network, images, runs, ops):
    run_onnx, run_tflite = runs
    name, path = network
    pictures = images((3, SIDE, SIDE), count=8, spread=1.0)
    target = path.with_name("int8.onnx")
    quantize_static(path, target, _Pictures(pictures), quant_format=QuantFormat.QDQ, per_channel=True)
    model = onnx.load(target)
    lowered = lower(model)
    wanted, (found, _) = run_onnx(model, pictures), run_tflite(lowered.data, pictures)
    # one unit a layer, over the depth of the net: a small part of how far the images' logits are apart
    assert np.abs(found - wanted).mean() < 0.1 * wanted.std(), name
    metrics = tflite_checks.check_lossless(lowered.data, path, model, lowered.grids, lowered.integers)
    assert metrics["lossless_integers"] > 700_000
    int8 = tflite_checks.check_int8(lowered.data, path)
    assert int8["int8_weight_pct"] > 99
    assert "TRANSPOSE" not in ops(lowered.data)
