"""Weights that no arithmetic can use."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper

from compress.errors import ModelFileError

_FLOAT_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)


def require_finite(model: ModelProto, where: object) -> None:
    """Refuse weights with NaN or infinity. Infinite scalars pass: open bounds of Clip, the fill of a padded MaxPool.

    Raises:
        ModelFileError: names the first tensor that holds NaN or infinity.
    """
    made = (entry.t for node in model.graph.node if node.op_type == "Constant" for entry in node.attribute)
    for tensor in (*model.graph.initializer, *made):
        if tensor.data_type not in _FLOAT_TYPES:
            continue
        array = numpy_helper.to_array(tensor)
        bad = np.isnan(array) if array.size == 1 else ~np.isfinite(array)
        if bad.any():
            nans, count = int(np.isnan(array).sum()), int(bad.sum())
            raise ModelFileError(
                f"{where}: tensor '{tensor.name}' holds {nans} NaN and {count - nans} infinite of {array.size} "
                "numbers, allowed finite numbers only",
                hint="training has diverged, or the file is damaged: make the model again",
            )
