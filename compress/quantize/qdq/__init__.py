"""The float graph run by torch, the rounded graph over it, and the QDQ ONNX file that both end in."""
