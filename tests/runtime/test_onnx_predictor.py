"""ONNX Runtime: foreign graphs, exact U8S8 sums, what is missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.core.formats import Precision
from compress.core.preprocess import Preprocess
from compress.errors import BackendMissingError, ModelFileError
from compress.runtime.host import saturates_u8s8
from compress.runtime.onnx_predictor import OnnxPredictor
from compress.runtime.open import open_predictor
from tests.runtime.test_trial import SIDE, endless


def test_open_sizes_in_the_graph_take_the_crop(tiny: Any) -> None:
    path = tiny.onnx(shape=["N", 3, "H", "W"])
    predictor = open_predictor(path, preprocess=tiny.spec().preprocess)
    assert predictor.spec.input_chw == (3, 16, 16)


def test_an_image_major_graph_is_given_its_channels_last(tiny: Any) -> None:
    """The graph takes the mean over its second and third axis: rows it calls channels."""
    rng = np.random.default_rng(0)
    weight_KC = rng.normal(size=(4, 16)).astype(np.float32)
    predictor = open_predictor(tiny.onnx(shape=["N", 16, 16, 3], weight_KC=weight_KC), spec=tiny.spec())
    images_NCHW = rng.normal(size=(2, 3, 16, 16)).astype(np.float32)
    by_hand = images_NCHW.transpose(0, 2, 3, 1).mean(axis=(2, 3)) @ weight_KC.T
    assert predictor.predict(images_NCHW) == pytest.approx(by_hand, abs=1e-5)
    assert predictor.prepared(images_NCHW)() == pytest.approx(by_hand, abs=1e-5)


def test_a_spec_of_a_later_version_is_refused(tiny: Any) -> None:
    path = tiny.onnx()
    model = onnx.load(str(path))
    model.metadata_props.add(key="imgc.spec", value='{"schema_version": 9}')
    onnx.save(model, str(path))
    with pytest.raises(ModelFileError, match=r"imgc\.spec"):
        open_predictor(path)


def test_two_outputs_are_refused_by_name(tiny: Any) -> None:
    path = tiny.onnx()
    model = onnx.load(str(path))
    model.graph.output.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["N", 3]))
    onnx.save(model, str(path))
    with pytest.raises(ModelFileError, match=r"outputs 'logits' float32.*'flat' float32.*one float output"):
        open_predictor(path, spec=tiny.spec())


def test_missing_backend_names_the_extra(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny.onnx(spec=tiny.spec())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendMissingError) as caught:
        open_predictor(path)
    assert caught.value.hint == "pip install 'imgc-toolkit[serve]'"


def qdq_file(folder: Path) -> Path:
    """A QDQ convolution whose 16-bit pair sums overflow: activations 255, weights 127, 64 products."""
    scale, zero_u8, zero_s8 = np.float32(1), np.uint8(0), np.int8(0)
    weight = np.full((4, 64, 1, 1), 127, np.int8)
    weight[1::2] = -128
    nodes = [
        helper.make_node("QuantizeLinear", ["images", "one", "zero_u8"], ["images_q"]),
        helper.make_node("DequantizeLinear", ["images_q", "one", "zero_u8"], ["images_f"]),
        helper.make_node("Tile", ["images_f", "repeats"], ["wide"]),
        helper.make_node("QuantizeLinear", ["wide", "one", "zero_u8"], ["wide_q"]),
        helper.make_node("DequantizeLinear", ["wide_q", "one", "zero_u8"], ["wide_f"]),
        helper.make_node("DequantizeLinear", ["weight", "one", "zero_s8"], ["weight_f"]),
        helper.make_node("Conv", ["wide_f", "weight_f"], ["conv"]),
        helper.make_node("QuantizeLinear", ["conv", "big", "zero_s8"], ["conv_q"]),
        helper.make_node("DequantizeLinear", ["conv_q", "big", "zero_s8"], ["conv_f"]),
        helper.make_node("GlobalAveragePool", ["conv_f"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"]),
    ]
    constants = {
        "one": scale,
        "big": np.float32(64 * 255),
        "zero_u8": zero_u8,
        "zero_s8": zero_s8,
        "repeats": np.array([1, 64, 1, 1], np.int64),
        "weight": weight,
    }
    graph = helper.make_graph(
        nodes,
        "saturating",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 1, 16, 16])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    path = folder / "saturating.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path


EXACT = np.array([[127, -128, 127, -128]], np.float32) * 64 * 255


def test_u8s8_sums_are_exact_on_this_cpu(tiny: Any, tmp_path: Path) -> None:
    path = qdq_file(tmp_path)
    predictor = OnnxPredictor(path, threads=1, spec=tiny.spec(input_chw=(1, 16, 16)))
    logits = predictor.predict(np.full((1, 1, 16, 16), 255, np.float32))
    np.testing.assert_array_equal(logits, EXACT)


@pytest.mark.skipif(not saturates_u8s8(), reason="this CPU adds U8S8 products in 32 bits (VNNI or not x86)")
def test_without_our_option_this_cpu_saturates(tmp_path: Path) -> None:
    options = ort.SessionOptions()
    session = ort.InferenceSession(str(qdq_file(tmp_path)), options, providers=["CPUExecutionProvider"])
    logits = session.run(None, {"images": np.full((1, 1, 16, 16), 255, np.float32)})[0]
    assert np.abs(logits).max() < np.abs(EXACT).min()


def test_precision_of_a_foreign_graph_is_read_from_its_operators(tmp_path: Path, tiny: Any) -> None:
    preprocess = tiny.spec().preprocess
    assert open_predictor(qdq_file(tmp_path), preprocess=preprocess).spec.precision is Precision.INT8
    assert open_predictor(tiny.onnx(), preprocess=preprocess).spec.precision is Precision.FP32


def test_a_loop_that_ends_on_one_image_and_not_on_another_is_ended(tmp_path: Path, monkeypatch) -> None:
    path = endless(tmp_path / "bright.onnx", on_bright_images_only=True)
    predictor = open_predictor(path, preprocess=Preprocess(resize_px=SIDE, crop_px=SIDE))
    dark, bright = (np.full((2, 3, SIDE, SIDE), value, np.float32) for value in (-1, 1))
    assert predictor.predict(dark).shape == (2, 3)
    monkeypatch.setattr("compress.runtime.onnx_predictor._LOOP_S", 0.1)
    with pytest.raises(ModelFileError, match=r"bright\.onnx: ONNX Runtime cannot run it .*terminate"):
        predictor.predict(bright)
    np.testing.assert_array_equal(predictor.predict(dark), np.full((2, 3), -1, np.float32))
