from __future__ import annotations

from compress.graph.proto import constants_of
from compress.quantize.ptq.static import rewritten
from compress.quantize.qdq.layers import layers_of, light_enough, parts_of


def test_a_layer_is_a_node_and_its_activation(float_model):
    found = {layer.name: layer.ops for layer in layers_of(float_model)}
    assert found["stem"] == "Conv+HardSwish"
    assert found["depthwise"] == "Conv+Relu"
    assert found["gate"] == "Conv+HardSigmoid"
    assert found["residual"] == "Add+Clip"
    assert found["excite"] == "Mul"
    assert "swish" not in found
    assert "flatten" not in found, "it only moves values"
    assert len(found) == 12


def test_parts_are_found_in_the_rewritten_graph(float_model):
    model, _ = rewritten(float_model, "gate")
    layers = layers_of(float_model)
    parts = {layer.name: part for layer, part in parts_of(layers, model).items()}
    tensors, weights = parts["stem"]
    assert tensors == {"images", "c0", "h0_shifted", "h0_gate", "h0"}
    assert weights == {"w0"}
    assert parts["excite"] == ({"se"}, frozenset())
    every = [name for tensors, _ in parts.values() for name in tensors]
    assert len(every) == len(set(every)), "each tensor belongs to one layer"
    assert {name for _, weights in parts.values() for name in weights} == {"w0", "wd", "ws", "wp", "wa", "wb", "wh"}


def test_layers_stay_float_while_most_bytes_are_int8(float_model):
    layers = layers_of(float_model)
    _, weights = zip(*parts_of(layers, float_model).values(), strict=True)
    arrays = constants_of(float_model.graph)
    sizes = {layer.name: sum(arrays[name].size for name in names) for layer, names in zip(layers, weights, strict=True)}
    light = [layer.name for layer in light_enough(layers, float_model)]
    assert light == [layer.name for layer in layers if layer.name in light], "in order"
    floats = 4 * sum(sizes[name] for name in light)
    assert 0 < floats <= sum(sizes.values()) - floats // 4, "float bytes are the smaller part"
    heavy = max(sizes, key=lambda name: sizes[name])
    assert heavy not in light
    assert {name for name, size in sizes.items() if not size} <= set(light)
