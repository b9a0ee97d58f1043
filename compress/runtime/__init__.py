"""The only place where a model file is opened: one `Predictor` for torch, ONNX Runtime and LiteRT."""
