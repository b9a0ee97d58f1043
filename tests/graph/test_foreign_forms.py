"""Plain classifiers in the forms that other tools write, each held against ONNX Runtime, our torch graph and TFLite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from compress.core.formats import Precision
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.errors import ModelFileError
from compress.graph.importer import canonical, import_classifier
from compress.graph.versions import with_fixed_batch, with_image_size
from compress.graph.widen import widened
from compress.lower.walk import lower
from compress.quantize.qdq.torch_graph import TorchGraph
from compress.runtime.onnx_predictor import OnnxPredictor
from tests.graph.test_importer import NORM, answers, floats, graph, node, ops
from tests.graphs import run_tflite

IMAGES = floats(1, 3, 8, 8, seed=9)
HEAD = {"h": floats(5, 4), "hb": floats(5, seed=4)}
STEM = [node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1])]
POOL = [node("GlobalAveragePool", ["c"], ["p"]), node("Flatten", ["p"], ["f"])]
CONV = {"w": floats(4, 3, 3, 3), "b": floats(4, seed=5)}


def read_alike(model: onnx.ModelProto) -> list[str]:
    """Return the canonical operators of a model that every reader of ours answers as ONNX Runtime does."""
    plain, wanted = canonical(model, Path("foreign.onnx")), answers(model)
    bound = 1e-4 * max(1.0, float(np.abs(wanted).max()))
    assert answers(plain) == pytest.approx(wanted, abs=bound)
    with torch.inference_mode():
        assert TorchGraph(plain)(torch.from_numpy(IMAGES)).numpy() == pytest.approx(wanted, abs=bound)
    assert run_tflite(lower(with_fixed_batch(plain)).data, IMAGES)[0] == pytest.approx(wanted, abs=bound)
    assert ops(canonical(plain, Path("again.onnx"))) == ops(plain), "the canonical form is its own"
    return ops(plain)


@pytest.mark.parametrize(
    ("attributes", "bias"),
    [
        ({"transB": 1}, (1, 5)),  # what MatMul and Add become in Keras
        ({"transB": 1}, (1,)),
        ({"transB": 1}, ()),
        ({"transB": 1, "alpha": 0.5, "beta": 2.0}, (5,)),
        ({"transB": 1, "alpha": 0.5}, None),
        ({"alpha": 2.0, "beta": 0.25}, (1, 1)),
        ({"transA": 1, "transB": 1}, (5,)),
    ],
)
def test_every_form_of_gemm(attributes: dict[str, float], bias: tuple[int, ...] | None):
    weight = HEAD["h"] if attributes.get("transB") else HEAD["h"].T
    turn = [node("Transpose", ["f"], ["t"], perm=[1, 0])] if attributes.get("transA") else []
    inputs = ["t" if turn else "f", "h", *(["hb"] if bias is not None else [])]
    constants = {**CONV, "h": weight} | ({} if bias is None else {"hb": floats(*bias, seed=6)})
    model = graph([*STEM, *POOL, *turn, node("Gemm", inputs, ["y"], **attributes)], constants)
    assert read_alike(model)[:4] == ["Conv", "GlobalAveragePool", "Flatten", "Transpose" if turn else "Gemm"]
    gemm = canonical(model, Path("foreign.onnx")).graph.node[-1]
    assert {one.name: helper.get_attribute_value(one) for one in gemm.attribute} == {"transB": 1}


def test_a_bias_for_each_image_keeps_its_factor():
    nodes = [node("Flatten", ["x"], ["f"]), node("Gemm", ["f", "h", "hb"], ["y"], transB=1, beta=2.0)]
    model = graph(nodes, {"h": floats(5, 192), "hb": floats(2, 5)}, batch=2)
    plain = canonical(model, Path("foreign.onnx"))
    assert answers(plain, 2) == pytest.approx(answers(model, 2), abs=1e-4)


@pytest.mark.parametrize("shape", [(5,), (1, 5), (1,)])
def test_a_matmul_and_what_is_added_to_it_are_one_layer(shape: tuple[int, ...]):
    nodes = [*STEM, *POOL, node("MatMul", ["f", "h"], ["m"]), node("Add", ["m", "hb"], ["y"])]
    model = graph(nodes, {**CONV, "h": HEAD["h"].T, "hb": floats(*shape, seed=6)})
    assert read_alike(model) == ["Conv", "GlobalAveragePool", "Flatten", "Gemm"]


def test_a_batch_norm_behind_a_sum_is_a_depthwise_layer():
    nodes = [
        *STEM,
        node("Relu", ["c"], ["r"]),
        node("Add", ["r", "c"], ["s"]),
        node("BatchNormalization", ["s", "g", "be", "m", "v"], ["n"]),
        node("GlobalAveragePool", ["n"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "h", "hb"], ["y"], transB=1),
    ]
    model = graph(nodes, {**CONV, **HEAD, **NORM})
    assert read_alike(model) == ["Conv", "Relu", "Add", "Conv", "GlobalAveragePool", "Flatten", "Gemm"]
    assert helper.get_node_attr_value(canonical(model, Path("f.onnx")).graph.node[3], "group") == 4


@pytest.mark.parametrize("behind", ["Flatten", "Gemm"])
def test_a_batch_norm_of_rows_is_folded_or_two_products(behind: str):
    norm = {name: floats(5 if behind == "Gemm" else 4, seed=seed) for seed, name in enumerate(("g", "be", "m"))}
    norm["v"] = np.abs(floats(5 if behind == "Gemm" else 4, seed=3)) + 0.1
    rest = (
        [node("Gemm", ["f", "h", "hb"], ["k"], transB=1), node("BatchNormalization", ["k", "g", "be", "m", "v"], ["y"])]
        if behind == "Gemm"
        else [
            node("BatchNormalization", ["f", "g", "be", "m", "v"], ["k"]),
            node("Gemm", ["k", "h", "hb"], ["y"], transB=1),
        ]
    )
    found = read_alike(graph([*STEM, *POOL, *rest], {**CONV, **HEAD, **norm}))
    assert found[3:] == (["Gemm"] if behind == "Gemm" else ["Mul", "Add", "Gemm"])


def test_an_answer_that_is_a_map_of_one_dot_is_a_row(tmp_path: Path):
    head = {"k": floats(5, 4, 1, 1), "kb": floats(5)}
    nodes = [*STEM, node("GlobalAveragePool", ["c"], ["p"]), node("Conv", ["p", "k", "kb"], ["y"])]
    model = graph(nodes, {**CONV, **head})
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5, 1, 1]))
    onnx.save(model, tmp_path / "map.onnx")
    found = import_classifier(tmp_path / "map.onnx")
    assert (found.classes, ops(found.model)[-1]) == (5, "Flatten")
    assert answers(found.model) == pytest.approx(answers(model).reshape(1, 5), abs=1e-6)


def open_sizes(tmp_path: Path) -> Path:
    model = graph([*STEM, *POOL, node("Gemm", ["f", "h", "hb"], ["y"], transB=1)], {**CONV, **HEAD})
    for dim, name in zip(model.graph.input[0].type.tensor_type.shape.dim, ("n", "c", "h", "w"), strict=True):
        dim.dim_param = name
    onnx.save(model, tmp_path / "open.onnx")
    return tmp_path / "open.onnx"


def test_sizes_that_a_file_leaves_open_are_those_of_its_images(tmp_path: Path):
    found = import_classifier(open_sizes(tmp_path), crop_px=8)
    assert found.input_chw == (3, 8, 8)
    assert answers(found.model) == pytest.approx(answers(onnx.load(open_sizes(tmp_path))), abs=1e-6)
    with pytest.raises(ModelFileError, match="every size but the first must be fixed") as error:
        import_classifier(open_sizes(tmp_path))
    assert "--preprocess" in error.value.hint


LAST = {
    "a Transpose first": [node("Transpose", ["x"], ["i"], perm=[0, 3, 1, 2])],
    "numbers prepared first": [
        node("Mul", ["x", "by"], ["m"]),
        node("Sub", ["m", "mean"], ["s"]),
        node("Transpose", ["s"], ["i"], perm=[0, 3, 1, 2]),
    ],
}
PREPARED = {"by": np.full((1, 1, 1, 3), 0.5, np.float32), "mean": floats(3, seed=6)}


def channels_last(nodes: list[onnx.NodeProto], size: int | str = 8) -> onnx.ModelProto:
    rest = [node("Conv", ["i", "w", "b"], ["c"], pads=[1, 1, 1, 1]), *POOL]
    model = graph([*nodes, *rest, node("Gemm", ["f", "h", "hb"], ["y"], transB=1)], {**CONV, **HEAD, **PREPARED})
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, size, size, 3])
    model.graph.input[0].CopyFrom(value)
    return model


@pytest.mark.parametrize("nodes", LAST.values(), ids=LAST.keys())
def test_images_whose_channels_come_last_are_taken_channels_first(tmp_path: Path, nodes: list[onnx.NodeProto]):
    model = channels_last(nodes)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"x": IMAGES.transpose(0, 2, 3, 1)})[0]
    onnx.save(model, tmp_path / "last.onnx")
    found = import_classifier(tmp_path / "last.onnx")
    assert found.input_chw == (3, 8, 8)
    assert answers(found.model) == pytest.approx(wanted, abs=1e-5)
    assert run_tflite(lower(with_fixed_batch(found.model)).data, IMAGES)[0] == pytest.approx(wanted, abs=1e-5)
    assert ops(found.model).count("Transpose") == (0 if len(nodes) == 1 else 2)
    preprocess = Preprocess(resize_px=16, crop_px=16)
    spec = ModelSpec(arch="foreign", labels=tuple("abcde"), input_chw=(3, 8, 8), preprocess=preprocess)
    predictor = OnnxPredictor(tmp_path / "last.onnx", threads=1, spec=spec)
    assert predictor.predict(IMAGES) == pytest.approx(wanted, abs=1e-6)


def test_sizes_that_are_left_open_may_have_their_channels_last(tmp_path: Path):
    onnx.save(channels_last(LAST["a Transpose first"], size="side"), tmp_path / "last.onnx")
    assert import_classifier(tmp_path / "last.onnx", crop_px=8).input_chw == (3, 8, 8)


def test_sizes_that_are_fixed_stay():
    model = graph([*STEM, *POOL, node("Gemm", ["f", "h", "hb"], ["y"], transB=1)], {**CONV, **HEAD})
    assert with_image_size(model, 64) is model


def test_a_float16_graph_is_widened_exactly(tmp_path: Path):
    model = graph([*STEM, *POOL, node("Gemm", ["f", "h", "hb"], ["y"], transB=1)], {**CONV, **HEAD})
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    wide = widened(model)
    onnx.checker.check_model(wide, full_check=True)
    half = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for tensor in wide.graph.initializer:
        assert tensor.data_type == TensorProto.FLOAT
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), half[tensor.name].astype(np.float32))
    onnx.save(model, tmp_path / "half.onnx")
    assert import_classifier(tmp_path / "half.onnx").precision is Precision.FP16
    found = import_classifier(tmp_path / "half.onnx", widen=True)
    assert (found.precision, found.widened) == (Precision.FP32, True)
