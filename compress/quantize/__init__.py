"""From a float model to one QDQ ONNX model: ranges are found (PTQ) or learned (QAT) here and never again downstream.

The float ONNX graph is the one graph. `torch_graph` runs it in torch, node for node, so that ranges can be observed and
learned by tensor name; `qdq` writes the same names back as QuantizeLinear/DequantizeLinear pairs with integer weights.
"""
