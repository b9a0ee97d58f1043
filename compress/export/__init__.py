"""The export room: a checked ONNX or TFLite file out of a torch model or an ONNX graph.

`compress.lower` writes TFLite straight from an ONNX graph (float, or QDQ with exactly its scales and integers);
`tf_converter` goes through onnx2tf and TensorFlow for graphs outside it; `checks` and `tflite_checks` can fail.
`onnx_detections` and `lower.detections` let a detector's file find the boxes itself; `postprocess` compares them.
"""
