"""Options of the export stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from compress.core.formats import Format
from compress.core.preprocess import Preprocess
from compress.core.stage import StageConfig
from compress.errors import RecipeError
from compress.graph.targets import TARGETS, TargetName

Percent = Annotated[float, Field(ge=0.0, le=100.0)]


class ParityBounds(BaseModel):
    """How far the exported file may be from the model it was made of, measured on validation and test images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_abs_logit_diff: Annotated[float, Field(ge=0.0)] | None = Field(
        default=None,
        description="Greatest |difference| of any logit. Default: what the precision allows: 1e-3 (fp32) or 5e-2 "
        "(fp16) of the largest logit, no bound for int8, whose grid is checked integer by integer "
        "instead.",
    )
    min_agreement_pct: Percent = Field(
        default=99.0,
        description="Least share of images with the same top-1 answer, or of boxes that match, in percent.",
    )
    images: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="Most images to compare on; without images, noise of at most 256 images takes their place.",
    )


class ExportConfig(StageConfig):
    """Write a checked ONNX or TFLite file."""

    consumes: ClassVar[frozenset[Format]] = frozenset({Format.TORCH, Format.ONNX})
    entry_point: ClassVar[str] = "compress.export.stage:run"
    version: ClassVar[int] = 2
    needs_data: ClassVar[bool] = False  # without images, files are compared on noise
    backends: ClassVar[tuple[str, ...]] = (
        *("torch", "torchvision", "timm", "onnx", "onnxscript", "onnxruntime", "ai-edge-litert"),
        *("tensorflow", "onnx2tf"),
    )
    renamed: ClassVar[Mapping[str, str]] = {"road": "converter"}
    suffixes: ClassVar[tuple[str, ...]] = ("onnx", "tflite")
    knobs: ClassVar[tuple[str, ...]] = (
        *("format", "precision", "opset", "target", "converter", "postprocess", "preprocess", "labels"),
    )

    kind: Literal["export"] = Field(default="export", description="Kind of the stage: `export`.")
    format: Literal["onnx", "tflite", "all"] = Field(
        default="all", description="Format of the file; `all` stands for two stages, one for each format."
    )
    precision: Literal["auto", "fp32", "fp16", "int8"] = Field(
        default="auto",
        description="Number format of the weights; `auto` keeps the source's, int8 needs a source from a quantize "
        "stage.",
    )
    opset: Annotated[int, Field(ge=14, le=21)] | None = Field(
        default=None,
        description="Operator set of the ONNX file. Default: 18 from a torch model, and the source's own from an ONNX"
        " model.",
    )
    dynamic_batch: bool = Field(
        default=True, description="Whether the batch of an ONNX file is free; TFLite files always take one image."
    )
    converter: Literal["lower", "tensorflow"] = Field(
        default="lower",
        description="What writes TFLite: `lower` is our own; `tensorflow` converts with onnx2tf, for graphs outside "
        "our op set.",
    )
    select_tf_ops: bool = Field(
        default=False,
        description="Whether the tensorflow converter may use operators that need the TensorFlow runtime.",
    )
    postprocess: bool = Field(
        default=False,
        description="Whether a detector's file also finds the boxes itself: ONNX NonMaxSuppression, or "
        "TFLite_Detection_PostProcess, in float on the CPU.",
    )
    target: TargetName | None = Field(
        default=None, description="What the int8 model is to run on; checked by node name."
    )
    parity: ParityBounds = Field(
        default=ParityBounds(), description="Bounds on how far the file may be from its source."
    )
    preprocess: Preprocess | None = Field(
        default=None, description="How images are prepared, for an ONNX file of another tool that does not say so."
    )

    labels: Path | None = Field(
        default=None, description="File of class names, one a line, for an ONNX file of another tool."
    )

    @model_validator(mode="after")
    def _check_converter(self) -> ExportConfig:
        if self.select_tf_ops and self.converter != "tensorflow":
            raise ValueError("select_tf_ops needs `converter: tensorflow`: our own writes TFLite builtins only")
        if self.converter == "tensorflow" and self.precision == "int8":
            raise ValueError(
                "`converter: tensorflow` would lose the model's int8 ranges; int8 needs `converter: lower`"
            )
        return self

    @model_validator(mode="after")
    def _check_postprocess(self) -> ExportConfig:
        if self.postprocess and self.target is not None and TARGETS[self.target].integer_ends:
            raise ValueError(
                f"postprocess finds boxes in float, and target {self.target} gives integers: leave one of them out"
            )
        return self

    def files(self) -> dict[str, Path]:
        """Return the file of class names, where one is given."""
        return {} if self.labels is None else {"labels": self.labels}

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
