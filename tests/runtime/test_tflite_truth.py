"""TFLite files that parse and lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flatbuffers import Builder

from compress.errors import ModelFileError
from compress.runtime.tflite_meta import pack, schema, unpack
from compress.runtime.tflite_truth import require_truth
from tests.tiny_files import Tiny


def _tensor(index: int, **values: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in values.items():
            setattr(model.subgraphs[0].tensors[index], name, value)

    return change


def _operator(index: int, **values: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in values.items():
            setattr(model.subgraphs[0].operators[index], name, value)

    return change


def _graph(**values: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in values.items():
            setattr(model.subgraphs[0], name, value)

    return change


def _grid(index: int, **values: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in values.items():
            setattr(model.subgraphs[0].tensors[index].quantization, name, value)

    return change


def _code(model: Any) -> None:
    model.operatorCodes[0].builtinCode = 9999


def _external(model: Any) -> None:
    group = schema().ExternalBufferGroupT()
    group.name = "weights.bin"
    model.externalBufferGroups = [group]


def _no_graph(model: Any) -> None:
    model.subgraphs = []


LIES = {
    "no graph": (_no_graph, "it has no graph"),
    "operator code": (_code, "the code 9999, which there is not"),
    "weights elsewhere": (_external, "its weights lie in other files"),
    "number type": (_tensor(0, type=99), "tensor 0 has the number type 99"),
    "size below 0": (_tensor(0, shape=[1, -16, 16, 3]), "a size below 0"),
    "buffer": (_tensor(3, buffer=77), "tensor 3 has the buffer 77 of 3"),
    "shape": (_tensor(3, shape=[40, 3]), r"tensor 3 has the shape \[40, 3\], 120 bytes, but holds 12"),
    "scale": (_grid(3, scale=[float("nan")]), "tensor 3 has a scale that is no positive number"),
    "scales": (_grid(3, scale=[1.0, 1.0], zeroPoint=[0, 0]), "2 scales on axis 0"),
    "zero points": (_grid(3, scale=[1.0], zeroPoint=[0, 0]), "1 scales and 2 zero points"),
    "kind": (_operator(0, opcodeIndex=5), "operator 0 has the kind 5 of 2"),
    "input": (_operator(1, inputs=[2, 99, -1]), "the inputs of operator 1 name tensor 99 of 5"),
    "no input": (_operator(1, inputs=[2, -1, 3]), "operator 1 is not given what it computes with"),
    "cycle": (_operator(0, inputs=[4, 1]), "operator 0 reads tensor 4, which nothing before it makes"),
    "constant": (_operator(0, outputs=[3]), "operator 0 writes tensor 3, which is a constant"),
    "output": (_operator(1, outputs=[-2]), "the outputs of operator 1 name tensor -2 of 5"),
    "graph's input": (_graph(inputs=[9]), "the graph's inputs name tensor 9 of 5"),
    "graph's output": (_graph(outputs=[9]), "the graph's outputs name tensor 9 of 5"),
    "name": (_tensor(0, name=b"\xff\xfe"), "the name of tensor 0 is no UTF-8"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_named(tiny: Tiny, lie: str):
    change, message = LIES[lie]
    path = tiny.tflite(int8=True)
    require_truth(path.read_bytes(), path)
    model = unpack(path.read_bytes())
    change(model)
    with pytest.raises(ModelFileError, match=message) as caught:
        require_truth(pack(model), "m.tflite")
    assert str(caught.value).startswith("m.tflite: ")
    assert caught.value.hint


def test_a_buffer_behind_the_tables_lies_in_the_file(tiny: Tiny):
    model = unpack(tiny.tflite(int8=True).read_bytes())
    model.buffers[0].offset, model.buffers[0].size = 10_000_000, 5
    builder = Builder(1024)  # `pack` writes no such buffers
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(ModelFileError, match="a buffer ends at byte 10000005 of"):
        require_truth(bytes(builder.Output()), "m.tflite")


def test_other_tools_ways_are_true(tiny: Tiny):
    """An empty constant, a bias that is not given, a variable that no operator makes, a tensor without a rank."""
    model = unpack(tiny.tflite(int8=True).read_bytes())
    graph = model.subgraphs[0]
    for values in ({"shape": [0]}, {"shape": [2], "isVariable": True}):
        tensor = schema().TensorT()
        tensor.name, tensor.type = "other", schema().TensorType.FLOAT32
        for name, value in values.items():
            setattr(tensor, name, value)
        graph.tensors.append(tensor)
    graph.tensors[2].shape = None
    graph.operators[0].inputs = np.array([*graph.operators[0].inputs, 5, 6], np.int32)
    require_truth(pack(model), "m.tflite")


@pytest.mark.slow
def test_what_tensorflow_writes_is_true(torch_first, float_network, tmp_path: Path):
    import onnx

    from compress.export import tf_converter
    from compress.graph.cleanup import clean

    require_truth(tf_converter.convert(clean(onnx.load(float_network("squeezenet1_1")))), tmp_path)
