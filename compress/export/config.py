"""Options of the export stage."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from compress.core.formats import Format
from compress.core.preprocess import Preprocess
from compress.core.stage import StageConfig
from compress.core.targets import TargetName
from compress.errors import RecipeError

Percent = Annotated[float, Field(ge=0.0, le=100.0)]


class ParityBounds(BaseModel):
    """How far the exported file may be from the model it was made of, measured on validation and test images.

    Attributes:
        max_abs_logit_diff: greatest |difference| of any logit; None takes what the precision allows: 1e-3 (fp32) or
            5e-2 (fp16) of the largest logit, no bound for int8, whose grid is checked integer by integer instead.
        min_agreement_pct: least share of images with the same top-1 answer, 0..100.
        images: most images; without images, noise of at most 256 images takes their place.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_abs_logit_diff: Annotated[float, Field(ge=0.0)] | None = None
    min_agreement_pct: Percent = 99.0
    images: Annotated[int, Field(ge=1, le=100_000)] = 1000


class ExportConfig(StageConfig):
    """Write a checked ONNX or TFLite file.

    Attributes:
        format: `all` stands for two stages, one each; the planner writes them out, so that no stage runs with it.
        precision: `auto` keeps the source's; int8 needs a source from a quantize stage.
        opset: of the ONNX file; None means 18 from a torch model, and the source's own from an ONNX model.
        dynamic_batch: whether the batch of an ONNX file is free; TFLite files always take one image.
        road: `lower` writes TFLite itself; `tensorflow` converts with onnx2tf, for graphs outside our op set.
        select_tf_ops: whether the tensorflow road may use operators that need the TensorFlow runtime.
        target: profile that the int8 model has to keep to, see `compress.core.targets`; it fails by node name.
        parity: bounds against the source model.
        preprocess: how images are prepared, for an ONNX file of another tool that does not say so.
    """

    consumes: ClassVar[frozenset[Format]] = frozenset({Format.TORCH, Format.ONNX})
    entry_point: ClassVar[str] = "compress.export.stage:run"
    version: ClassVar[int] = 2
    needs_data: ClassVar[bool] = False  # without images, files are compared on noise
    backends: ClassVar[tuple[str, ...]] = (
        *("torch", "torchvision", "timm", "onnx", "onnxscript", "onnxruntime", "ai-edge-litert"),
        *("tensorflow", "onnx2tf"),
    )
    suffixes: ClassVar[tuple[str, ...]] = ("onnx", "tflite")

    kind: Literal["export"] = "export"
    format: Literal["onnx", "tflite", "all"] = "all"
    precision: Literal["auto", "fp32", "fp16", "int8"] = "auto"
    opset: Annotated[int, Field(ge=14, le=21)] | None = None
    dynamic_batch: bool = True
    road: Literal["lower", "tensorflow"] = "lower"
    select_tf_ops: bool = False
    target: TargetName | None = None
    parity: ParityBounds = ParityBounds()
    preprocess: Preprocess | None = None

    @model_validator(mode="after")
    def _check_road(self) -> ExportConfig:
        if self.select_tf_ops and self.road != "tensorflow":
            raise ValueError("select_tf_ops needs `road: tensorflow`: our own road writes TFLite builtins only")
        if self.road == "tensorflow" and self.precision == "int8":
            raise ValueError("`road: tensorflow` would lose the model's int8 ranges; int8 goes by `road: lower`")
        return self

    def expand(self) -> tuple[StageConfig, ...]:
        """Return one stage for each format where the format is `all`."""
        if self.format != "all":
            return (self,)
        return tuple(self.changed(id=f"{self.id}-{suffix}", format=suffix) for suffix in self.suffixes)

    @property
    def produces(self) -> Format:
        """Return the format of the file.

        Raises:
            RecipeError: for `all`, which the planner turns into two stages before it asks.
        """
        if self.format == "all":
            raise RecipeError("export: `format: all` makes two files", hint="plan it as one stage for each format")
        return Format(self.format)
