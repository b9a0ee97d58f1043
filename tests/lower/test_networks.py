"""The families we ship and their relatives, random weights: float, our own QDQ, and QDQ as ONNX Runtime writes it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quant_pre_process, quantize_static

from compress.core.artifact import Artifact
from compress.core.dataset import FolderData
from compress.core.formats import Format
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext
from compress.export import tflite_checks
from compress.lower.walk import Lowered, lower
from compress.runtime.tflite_meta import unpack

pytestmark = pytest.mark.slow

SIDE = 64  # of `float_network`
LABELS = ("blue", "green", "red")
SLOW = (
    "mobilenet_v3_large",
    "squeezenet1_1",
    "resnet18",
    "tf_efficientnet_lite0",
    "mobilenetv2_100",
    "efficientnet_b0",
)
NETWORKS = ["mobilenet_v3_small", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
# activation type, whether each output channel has a scale, whether quant_pre_process ran first
VARIANTS = [
    ("uint8", True, False),
    ("uint8", True, True),
    pytest.param("int8", True, False, marks=pytest.mark.slow),
    pytest.param("int8", False, True, marks=pytest.mark.slow),
    pytest.param("uint8", False, False, marks=pytest.mark.slow),
]
ISLANDS = frozenset(
    {"HARD_SWISH", "LOGISTIC", "ADD", "MUL", "MEAN", "MINIMUM", "RESHAPE"}
)  # what may be float in int8 files
CONVS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})


class _Reader(CalibrationDataReader):
    def __init__(self, images):
        self._left = iter(images)

    def get_next(self):
        return next(({"images": image[None]} for image in self._left), None)


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, float_network) -> tuple[str, Path]:
    return request.param, float_network(request.param)


@pytest.fixture(scope="module")
def prepared_network(network, tmp_path_factory) -> Path:
    """Return the file behind `quant_pre_process`, which decomposes HardSwish into x * HardSigmoid(x) and folds."""
    name, path = network
    prepared = tmp_path_factory.mktemp(name) / "prepared.onnx"
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    return prepared


@pytest.fixture
def pixels(images) -> np.ndarray:
    return images((3, SIDE, SIDE), count=8, spread=1.0)


def integers_in(model: onnx.ModelProto) -> int:
    """Return how many integers a QDQ model stores for its weights and biases."""
    sizes = {stored.name: math.prod(stored.dims) for stored in model.graph.initializer}
    dequantized = {node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return sum(size for name, size in sizes.items() if name in dequantized)


@pytest.fixture
def check_int8(runs) -> Callable[..., Lowered]:
    def check(model: onnx.ModelProto, pixels: np.ndarray, name: str, *, float_convs: int = 0) -> Lowered:
        run_onnx, run_tflite = runs
        lowered = lower(model)
        wanted, (found, _) = run_onnx(model, pixels), run_tflite(lowered.data, pixels)
        # one unit a layer, over the depth of the net: a small part of how far the images' logits are apart
        assert np.abs(found - wanted).mean() < 0.1 * wanted.std(), name
        path = Path("model.tflite")
        table = unpack(lowered.data)
        metrics = tflite_checks.check_lossless(table, path, model, lowered.grids, lowered.integers)
        assert metrics["lossless_integers"] == integers_in(model)
        int8 = tflite_checks.check_int8(table, path)
        assert int8["int8_weight_pct"] > 99
        floats = [entry.split(":")[0] for entry in str(int8["float_op_names"]).split(", ") if ":" in entry]
        assert set(floats) <= (ISLANDS | CONVS | {"PAD"} if float_convs else ISLANDS), name
        assert sum(op in CONVS for op in floats) == float_convs, name
        assert "TRANSPOSE" not in {tflite_checks.operator_name(table, op) for op in table.subgraphs[0].operators}
        return lowered

    return check


def test_float(network, images, same, ops):
    name, path = network
    lowered = same(onnx.load(path), images((3, SIDE, SIDE), count=2))
    assert "TRANSPOSE" not in ops(lowered.data), name


@pytest.mark.filterwarnings("ignore")  # onnxruntime's quantizer recommends pre-processing through the root logger
@pytest.mark.parametrize(("activation", "per_channel", "prepared"), VARIANTS)
def test_quantized_by_onnxruntime(request, network, pixels, check_int8, tmp_path, activation, per_channel, prepared):
    name, path = network
    if prepared:
        path = request.getfixturevalue("prepared_network")
    target = tmp_path / "int8.onnx"
    kind = QuantType.QUInt8 if activation == "uint8" else QuantType.QInt8
    quantize_static(
        path, target, _Reader(pixels), quant_format=QuantFormat.QDQ, per_channel=per_channel, activation_type=kind,
        weight_type=QuantType.QInt8,
    )  # fmt: skip
    lowered = check_int8(onnx.load(target), pixels, name)
    depthwise = name not in ("squeezenet1_1", "resnet18")
    assert any("one scale for" in note for note in lowered.notes) == (depthwise and not per_channel)


@pytest.mark.parametrize("activation", ["uint8", pytest.param("int8", marks=pytest.mark.slow)])
def test_quantized_by_us(network, pixels, check_int8, tmp_path, photos, activation):
    from compress.graph.cleanup import clean
    from compress.graph.metadata import embed_spec
    from compress.quantize.config import QuantizeConfig
    from compress.quantize.qdq.quantizer_setup import swish_stem
    from compress.quantize.stage import run

    name, path = network
    preprocess = Preprocess(resize_px=SIDE, crop_px=SIDE)
    spec = ModelSpec(arch="foreign", labels=LABELS, input_chw=(3, SIDE, SIDE), preprocess=preprocess)
    model = clean(onnx.load(path))
    embed_spec(model, spec)
    source = tmp_path / "float.onnx"
    onnx.save(model, source)
    artifact = Artifact(
        stage_id="above", kind="train", format=Format.ONNX, path=source, sha256="0" * 64,
        size_bytes=source.stat().st_size, spec=spec, metrics={},
    )  # fmt: skip
    ctx = RunContext(stage_dir=tmp_path, seed=0, data=FolderData(path=photos))
    output = run(
        QuantizeConfig(calibration_count=12, activation=activation, reconstruct={"steps": 2}), {"from": artifact}, ctx
    )
    stem = swish_stem(model)
    float_convs = sum(node.name in stem for node in model.graph.node if node.op_type == "Conv")
    check_int8(onnx.load(tmp_path / output.file_name), pixels, name, float_convs=float_convs)
