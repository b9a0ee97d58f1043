"""ONNX graph -> TFLite flatbuffer, one walk in topological order, without TensorFlow and without calibrating again.

Every 4-D activation is stored NHWC, so that convolutional networks need no TRANSPOSE at all. QuantizeLinear and
DequantizeLinear become the quantization of tensors; what the graph computes in float stays float between
DEQUANTIZE and QUANTIZE. A layer of its own below the rooms: `export` ships what it writes, `quantize` measures it.
"""
