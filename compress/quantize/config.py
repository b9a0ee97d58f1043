"""Options of the quantize stage."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from compress.core.formats import Format
from compress.core.stage import StageConfig
from compress.engine.options import Epochs, FitOptions, Share

Scheme = Literal["int8_static", "int8_qat", "dynamic"]


class QatOptions(FitOptions):
    """A fit that starts where a trained model is: short, at a tenth of a fine-tuning's rate, labels not smoothed."""

    epochs: Epochs = 4
    lr: Annotated[float, Field(gt=0.0, le=10.0)] = 2e-4
    warmup_epochs: Annotated[float, Field(ge=0.0)] = 0.5
    label_smoothing: Share = 0.0


class QuantizeConfig(StageConfig):
    """Make an int8 model from a float one.

    Attributes:
        scheme: int8_static calibrates ranges, int8_qat also trains with them, dynamic stores int8 weights only.
        calibration_count: number of training pictures, class balanced, that the ranges are found on.
        range_rule: how a range is picked from what was seen: `mse` clips where rounding gains more than clipping loses,
            `minmax` clips nothing.
        activation: type of the activations in ONNX; uint8 is fast on x86, int8 on ARM. The grids are the same.
        alpha: share of the float model's soft labels in the training loss, 0..1 (int8_qat).
        temperature: softens both distributions (int8_qat).
        fit: the training loop (int8_qat).
    """

    consumes: ClassVar[frozenset[Format]] = frozenset({Format.TORCH, Format.ONNX})
    entry_point: ClassVar[str] = "compress.quantize.stage:run"
    version: ClassVar[int] = 1
    backends: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "onnx", "onnxscript", "onnxruntime")

    kind: Literal["quantize"] = "quantize"
    scheme: Scheme = "int8_static"
    calibration_count: Annotated[int, Field(ge=8, le=10_000)] = 256
    range_rule: Literal["mse", "minmax"] = "mse"
    activation: Literal["uint8", "int8"] = "uint8"
    alpha: Annotated[float, Field(ge=0.0, le=1.0)] = 0.9
    temperature: Annotated[float, Field(ge=0.5, le=20.0)] = 2.0
    fit: QatOptions = QatOptions()

    @property
    def produces(self) -> Format:
        """Return ONNX: the QDQ model."""
        return Format.ONNX
