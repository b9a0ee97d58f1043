"""What `imgc inspect` says of files of any tool."""

from __future__ import annotations

import json

import onnx
import pytest
from onnx import TensorProto, helper

from compress.cli.inspect_file import inspect_file
from tests.serve.conftest import colours_onnx, colours_tflite


def _model(*nodes, outputs=("y",), shape=("N", 3, 32, 32)) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in outputs],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


POOL = helper.make_node("GlobalAveragePool", ["x"], ["p"])
FLAT = helper.make_node("Flatten", ["p"], ["f"])


def test_an_onnx_file_shows_its_ports_and_what_it_can_become(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(_model(POOL, FLAT, helper.make_node("Softmax", ["f"], ["y"])), path)
    facts = inspect_file(path)
    assert [(one.name, one.dtype, one.shape) for one in facts.inputs] == [("x", "float32", ["N", 3, 32, 32])]
    assert [one.name for one in facts.outputs] == ["y"]
    assert facts.outputs_are == "probabilities"
    assert facts.prospects == {"TFLite": "yes", "int8": "yes"}
    assert facts.spec is None


def test_what_stops_a_file_is_named_by_its_node(tmp_path):
    path = tmp_path / "m.onnx"
    odd = helper.make_node("Erf", ["f"], ["y"], name="odd")
    onnx.save(_model(POOL, FLAT, odd), path)
    prospects = inspect_file(path).prospects
    assert "odd" in prospects["TFLite"]
    assert "Erf" in prospects["TFLite"]
    assert "Erf" in prospects["int8"]


def test_a_graph_that_holds_its_batch_fast_is_not_called_fit_for_int8(tmp_path):
    path = tmp_path / "m.onnx"
    token = helper.make_tensor("token", TensorProto.FLOAT, [1, 3, 1, 1], [0.0] * 3)
    model = _model(POOL, helper.make_node("Concat", ["p", "token"], ["both"], axis=2), shape=(1, 3, 32, 32))
    model.graph.node.extend(
        [helper.make_node("GlobalAveragePool", ["both"], ["q"]), helper.make_node("Flatten", ["q"], ["y"])]
    )
    model.graph.initializer.append(token)
    onnx.save(model, path)
    prospects = inspect_file(path).prospects
    assert prospects["TFLite"] == "yes"
    assert prospects["int8"] != "yes"


def test_two_outputs_are_shown_and_stop_it(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(_model(POOL, FLAT, helper.make_node("Softmax", ["f"], ["y"]), outputs=("y", "f")), path)
    facts = inspect_file(path)
    assert [one.name for one in facts.outputs] == ["y", "f"]
    assert "output" in facts.prospects["int8"]


def test_a_tflite_file_shows_its_ports(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(colours_tflite())
    facts = inspect_file(path)
    assert [(one.name, one.dtype, one.shape, one.scale) for one in facts.inputs] == [
        ("images", "float32", [1, 32, 32, 3], None)
    ]
    assert "final" in facts.prospects["int8"]


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_shows_them(imgc, folder, as_json):
    (folder / "m.onnx").write_bytes(colours_onnx())
    result = imgc("inspect", "m.onnx", *(["--json"] if as_json else []))
    assert result.exit_code == 0, result.output
    if as_json:
        assert json.loads(result.stdout)["prospects"] == {"TFLite": "yes", "int8": "yes"}
    else:
        assert "becomes TFLite" in result.stdout
        assert "N x 3 x 32 x 32" in result.stdout
