"""The recipes of other tools on a tiny network."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from compress.core.formats import Format
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.errors import BackendMissingError, ImgcError, StageError, UsageError
from compress.graph.from_torch import to_onnx
from compress.models.build import build_model
from compress.models.weights import save_model
from compress.runtime.open import open_predictor
from compress.runtime.predictor import Floats
from evals.int8 import baselines
from evals.int8.baselines import BASELINES
from evals.int8.compare import int8_weight_pct, open_int8

pytestmark = pytest.mark.slow

SIDE = 32
SPEC = ModelSpec(
    arch="tiny",
    labels=("a", "b", "c"),
    input_chw=(3, SIDE, SIDE),
    preprocess=Preprocess(resize_px=SIDE, crop_px=SIDE),
)


@pytest.fixture(scope="module")
def floats(tmp_path_factory) -> dict[Format, Path]:
    folder = tmp_path_factory.mktemp("float")
    torch.manual_seed(0)
    network = build_model(SPEC).eval()
    save_model(folder / "model.safetensors", network, SPEC)
    onnx.save(to_onnx(network, SPEC), folder / "model.onnx")
    return {Format.TORCH: folder / "model.safetensors", Format.ONNX: folder / "model.onnx"}


@pytest.fixture(scope="module")
def images() -> Floats:
    return np.random.default_rng(0).normal(size=(40, 3, SIDE, SIDE)).astype(np.float32)


def _baseline(name):
    return next(baseline for baseline in BASELINES if baseline.name == name)


def _make(name, floats, images, folder):
    baseline = _baseline(name)
    out = folder / f"{name}.{baseline.format}"
    baseline.write(floats[baseline.source], images, out)
    assert [path.name for path in folder.iterdir()] == [out.name]  # nothing temporary is left
    return out


def _close_to_float(path, floats, images):
    wanted = open_predictor(floats[Format.ONNX]).predict(images)
    found = open_int8(path, SPEC).predict(images)
    return 1 - np.square(found - wanted).sum() / np.square(wanted - wanted.mean()).sum()


def test_names_are_unique():
    assert len({baseline.name for baseline in BASELINES}) == len(BASELINES)


@pytest.mark.slow
def test_quantize_static_is_uint8_by_int8_per_channel(floats, images, tmp_path):
    path = _make("ort", floats, images, tmp_path)
    model = onnx.load(path)
    zero_points = {tensor.name: tensor for tensor in model.graph.initializer}
    activations = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert activations
    assert {zero_points[node.input[2]].data_type for node in activations} == {onnx.TensorProto.UINT8}
    assert int8_weight_pct(path) == 100
    assert _scales_of_stem(model) > 1
    assert _close_to_float(path, floats, images) > 0.8


def test_per_tensor_has_one_scale_a_layer(floats, images, tmp_path):
    model = onnx.load(_make("ort-per-tensor", floats, images, tmp_path))
    assert _scales_of_stem(model) == 1


def _scales_of_stem(model):
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    stem = next(node for node in model.graph.node if node.op_type == "Conv")
    weight = next(node for node in model.graph.node if node.output[0] == stem.input[1])
    return max(int(np.prod(constants[weight.input[1]].dims)), 1)


def test_calibration_feeds_every_image_once(floats, images, tmp_path, monkeypatch):
    seen = Counter()

    def batches(given):
        for start in range(0, len(given), 16):
            seen["images"] += len(given[start : start + 16])
            yield given[start : start + 16]

    monkeypatch.setattr(baselines, "_batches", batches)
    _make("ort", floats, images, tmp_path)
    assert seen["images"] == len(images)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_tflite_is_int8_from_input_to_output(floats, images, tmp_path):
    path = _make("tflite", floats, images, tmp_path)
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    assert interpreter.get_input_details()[0]["dtype"] == np.int8
    assert interpreter.get_output_details()[0]["dtype"] == np.int8
    assert list(interpreter.get_signature_list()) == ["serving_default"]
    assert int8_weight_pct(path) == 100
    assert _close_to_float(path, floats, images) > 0.8


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["nncf", "torchao"])
def test_baselines_that_are_no_part_of_an_extra(name, floats, images, tmp_path):
    pytest.importorskip(name)
    path = _make(name, floats, images, tmp_path)
    assert int8_weight_pct(path) > 25
    assert _close_to_float(path, floats, images) > 0.8


@pytest.mark.parametrize(
    ("name", "module"),
    [("ort", "onnxruntime.quantization.shape_inference"), ("nncf", "nncf"), ("tflite", "onnx2tf")],
)
def test_a_missing_tool_says_so(name, module, floats, images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendMissingError) as caught:
        _baseline(name).write(floats[_baseline(name).source], images, tmp_path / "out")
    assert module in caught.value.message
    assert caught.value.hint.startswith("pip install")
    assert "int8_baselines.txt" in caught.value.hint or name != "nncf"
    assert not list(tmp_path.iterdir())


def test_missing_torchao_names_it(floats, images, tmp_path, monkeypatch):
    for module in ("torchao", "torchao.quantization", "torchao.quantization.pt2e.quantize_pt2e"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendMissingError) as caught:
        _baseline("torchao").write(floats[Format.TORCH], images, tmp_path / "out.onnx")
    assert "int8_baselines.txt" in caught.value.hint
    assert "torchao" in caught.value.hint


def test_tools_without_an_extra_are_pinned():
    pins = (Path(baselines.__file__).parents[1] / "int8_baselines.txt").read_text().splitlines()
    assert {"nncf", "torchao"} <= {line.split("==")[0] for line in pins if "==" in line}
    assert all("==" in line or line.startswith("#") for line in pins)


def test_versions_are_those_that_are_installed(monkeypatch):
    monkeypatch.setattr(baselines, "_TOOLS", ("onnxruntime", "no-such-distribution"))
    assert set(baselines.versions()) == {"onnxruntime"}


def test_a_file_that_stayed_float_is_refused(floats, tmp_path):
    with pytest.raises(StageError, match="left every weight float"):
        baselines._write("some tool", floats[Format.ONNX].read_bytes(), tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [np.zeros((0, 3, 8, 8), np.float32), np.zeros((1, 3, 8, 8)), np.zeros(3, np.float32)])
@pytest.mark.parametrize("baseline", BASELINES, ids=lambda baseline: baseline.name)
def test_calibration_must_be_images(baseline, bad, tmp_path):
    with pytest.raises(UsageError, match="calibration takes float32 images"):
        baseline.write(tmp_path / "none.onnx", bad, tmp_path / "out.onnx")


def test_a_tools_own_error_names_the_tool(floats, tmp_path):
    wrong = np.zeros((1, 3, SIDE + 1, SIDE), np.float32)
    with pytest.raises(ImgcError, match="ONNX Runtime's quantizer"):
        _baseline("ort").write(floats[Format.ONNX], wrong, tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())
