import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from compress.errors import StageError
from compress.graph.proto import constants_of
from compress.quantize.qdq.torch_graph import TorchGraph


def test_torch_computes_what_onnx_runtime_computes(float_model, images_NCHW):
    session = ort.InferenceSession(float_model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected_NK,) = session.run(None, {"images": images_NCHW})
    with torch.inference_mode():
        logits_NK = TorchGraph(float_model)(torch.from_numpy(images_NCHW)).numpy()
    np.testing.assert_allclose(logits_NK, expected_NK, atol=1e-5)


def test_learned_weights_come_back_by_their_onnx_names(float_model):
    graph = TorchGraph(float_model)
    constants = constants_of(float_model.graph)
    learned = graph.learned()
    assert set(learned) == set(constants) - {"shape", "zero", "six"}
    for name, value in learned.items():
        np.testing.assert_array_equal(value, constants[name])


def test_an_unknown_op_is_named_with_its_node(float_model):
    float_model.graph.node[1].op_type = "Erf"
    with pytest.raises(StageError, match=r"'swish'.*Erf") as caught:
        TorchGraph(float_model)
    assert "HardSwish" in caught.value.hint


def test_several_inputs_and_outputs():
    make = onnx.helper.make_tensor_value_info
    nodes = [onnx.helper.make_node("Mul", ["a", "b"], ["product"]), onnx.helper.make_node("Sub", ["a", "b"], ["rest"])]
    ports = [make(name, 1, [1, 2]) for name in ("a", "b", "product", "rest")]
    graph = TorchGraph(onnx.helper.make_model(onnx.helper.make_graph(nodes, "two", ports[:2], ports[2:])))
    a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 5.0]])
    found = graph.run_all((a, b), lambda name, value: value, lambda name, value: value)
    assert [value.tolist() for value in found] == [[[3.0, 10.0]], [[-2.0, -3.0]]]


@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize("pads", [[0, 0, 1, 1], [1, 1, 1, 1]])
def test_average_pool_counts_the_padding_as_onnx_does(include, pads):
    helper = onnx.helper
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": pads, "count_include_pad": include}
    nodes = [
        helper.make_node("AveragePool", ["x"], ["a"], "pool", **window),
        helper.make_node("Flatten", ["a"], ["y"], "flat"),
    ]
    ends = [helper.make_tensor_value_info(name, 1, ["N", *sizes]) for name, sizes in (("x", (3, 8, 8)), ("y", ("K",)))]
    graph = helper.make_graph(nodes, "pool", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    images_NCHW = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    (wanted_NK,) = ort.InferenceSession(model.SerializeToString()).run(None, {"x": images_NCHW})
    found_NK = TorchGraph(model)(torch.from_numpy(images_NCHW)).numpy()
    np.testing.assert_allclose(found_NK, wanted_NK, atol=1e-6)
