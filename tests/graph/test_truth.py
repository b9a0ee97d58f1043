"""ONNX messages that parse and lie."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
from onnx import ModelProto, TensorProto

from compress.errors import ModelFileError
from compress.graph.truth import require_truth
from tests.tiny_files import Tiny


def _set(path: str, value: object) -> Callable[[ModelProto], None]:
    """Return what sets an attribute by a path such as "graph.initializer.0.data_type"."""

    def change(model: ModelProto) -> None:
        *way, last = path.split(".")
        thing = model
        for step in way:
            thing = thing[int(step)] if step.isdecimal() else getattr(thing, step)
        if last.isdecimal():
            thing[int(last)] = value
        else:
            setattr(thing, last, value)

    return change


def _no_utf8(model: ModelProto) -> None:
    data = model.SerializeToString().replace(b"GlobalAveragePool", b"GlobalAverage\xff\xfe\xfd\xfc")
    model.ParseFromString(data)


def _cycle(model: ModelProto) -> None:
    model.graph.node[0].input[0] = "flat"


def _typed(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0] * 11)


LIES = {
    "text": (_no_utf8, r"a op_type in it is no UTF-8"),
    "number type": (_set("graph.initializer.0.data_type", 99), "number type 99, which there is not"),
    "no number type": (_set("graph.initializer.0.data_type", 0), "number type 0, which there is not"),
    "type of a value": (_set("graph.input.0.type.tensor_type.elem_type", 128), "number type 128"),
    "size below 0": (_set("graph.initializer.0.dims.1", -3), r"shape \[4, -3\]: a size below 0"),
    "too few bytes": (_set("graph.initializer.0.raw_data", b"1234"), r"shape \[4, 3\], but holds 4 bytes"),
    "too few numbers": (_typed, r"shape \[4, 3\], but holds 11 values"),
    "cycle": (_cycle, "reads 'flat', which nothing before it makes"),
    "lost part": (_set("graph.node.2.input.1", "gone"), "reads 'gone', which nothing before it makes"),
    "output": (_set("graph.output.0.name", "gone"), "its output 'gone' is made by nothing in it"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_named(tiny: Tiny, lie: str):
    change, message = LIES[lie]
    model = onnx.load(tiny.onnx())
    require_truth(model, "m.onnx")
    change(model)
    with pytest.raises(ModelFileError, match=f"^m.onnx: .*{message}") as caught:
        require_truth(model, "m.onnx")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("kind", "count", "size"), [(TensorProto.INT4, 5, 3), (TensorProto.INT2, 5, 2), (TensorProto.BFLOAT16, 5, 10)]
)
def test_packed_numbers_are_counted_as_they_lie(tiny: Tiny, kind: int, count: int, size: int):
    model = onnx.load(tiny.onnx())
    model.graph.initializer.append(TensorProto(name="packed", data_type=kind, dims=[5], raw_data=bytes(size)))
    require_truth(model, "m.onnx")
    model.graph.initializer[-1].raw_data = bytes(size + 1)
    with pytest.raises(ModelFileError, match="'packed'"):
        require_truth(model, "m.onnx")
