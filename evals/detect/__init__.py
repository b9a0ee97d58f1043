"""Detectors: our int8 files beside the float model and beside ONNX Runtime's quantizer."""
