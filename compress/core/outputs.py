"""What the numbers are that a classifier gives, told by the operator that makes them; and what they say as shares.

Most classifiers of Keras and TFLite end in Softmax: their numbers are shares already, and the softmax of shares is no
share of anything. Light: numpy is imported where it computes, since a spec names `OutputKind`.

Letters: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OutputKind = Literal["logits", "probabilities", "scores"]
_KINDS: dict[str, OutputKind] = {
    "Softmax": "probabilities",
    "SOFTMAX": "probabilities",
    "Sigmoid": "scores",
    "LOGISTIC": "scores",
    "HardSigmoid": "scores",
}
_PASSING = frozenset(
    {"Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Cast", "Dropout", "QuantizeLinear", "DequantizeLinear"}
    | {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "CAST", "QUANTIZE", "DEQUANTIZE"}
)
LEAST_SHARE = 1e-7  # of a share: its logarithm is asked, and int8 knows nothing below 1/256


def kind_of(output: str, makers: Mapping[str, tuple[str, str]]) -> OutputKind:
    """Return what an output is.

    Args:
        output: its tensor.
        makers: tensor -> (operator, its first input), in ONNX's or TFLite's names.
    """
    for _ in makers:  # as many steps as there are operators: a damaged file may have a ring
        operator, source = makers.get(output, ("", ""))
        if operator not in _PASSING:
            return _KINDS.get(operator, "logits")
        output = source
    return "logits"


def shares(outputs_NK: NDArray[np.floating], kind: OutputKind) -> NDArray[np.float64]:
    """Return the share of each class, 0..1, for outputs [K] or [N, K]: the softmax of logits, else as they are."""
    import numpy as np

    if kind != "logits":
        return outputs_NK.astype(np.float64).clip(0.0, 1.0)
    powers = np.exp(outputs_NK.astype(np.float64) - outputs_NK.max(axis=-1, keepdims=True))
    found: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return found


def as_logits(outputs_NK: NDArray[np.float32], kind: OutputKind) -> NDArray[np.float32]:
    """Return logits [N, K] whose shares (softmax, or sigmoid for scores) are the outputs."""
    import numpy as np

    if kind == "logits":
        return outputs_NK
    logs_NK = np.log(outputs_NK.clip(LEAST_SHARE, 1.0))
    if kind == "scores":
        logs_NK -= np.log1p(-outputs_NK.clip(0.0, 1.0 - LEAST_SHARE))
    found_NK: NDArray[np.float32] = logs_NK.astype(np.float32)
    return found_NK
