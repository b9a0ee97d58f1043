"""`ModelSpec`: a model as data. With the weights it rebuilds the model; alone it says what the model expects."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from compress.core.boxes import BoxCoding
from compress.core.dataset import Task
from compress.core.formats import Precision
from compress.core.outputs import OutputKind
from compress.core.preprocess import Preprocess
from compress.core.visible import visible

SPEC_KEY = "imgc.spec"  # the key under which every file format carries the spec's JSON
CALIBRATION_KEY = "imgc.calibration"  # beside it, in int8 files: the images that the ranges were found on


VisibleText = Annotated[str, AfterValidator(visible)]


class LayerShape(BaseModel):
    """One row of the layer table: the shape of a Conv2d, BatchNorm2d or Linear, by module name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["conv", "bn", "linear"]
    in_features: int
    out_features: int
    groups: int = 1


class ModelSpec(BaseModel):
    """What a model is and expects, JSON in and out.

    Attributes:
        arch: a key of `compress.models.archs.ARCHS`, or "foreign" for a file made by another tool.
        labels: class names in index order; their number is the number of classes.
        input_chw: channels, height, width of one image.
        layout: order of the input axes in this file; NHWC for TFLite.
        outputs: what the answers are: logits, probabilities (the graph ends in Softmax), or scores of each class alone
            (it ends in Sigmoid).
        rewrites: names of the graph rewrites applied, in order.
        layers: the layer table, by which a pruned network is rebuilt; empty for ONNX and TFLite.
        params: number of learned parameters of the float model.
        macs: multiply-accumulates of one image through the float model.
        boxes: how a detector's numbers become boxes; None for a classifier.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    arch: VisibleText
    labels: tuple[VisibleText, ...]
    input_chw: tuple[int, int, int]
    preprocess: Preprocess
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    outputs: OutputKind = "logits"
    precision: Precision = Precision.FP32
    rewrites: tuple[VisibleText, ...] = ()
    layers: tuple[LayerShape, ...] = ()
    params: int = 0
    macs: int = 0
    boxes: BoxCoding | None = None

    @property
    def task(self) -> Task:
        """Return what the model does: it names an image, or finds boxes in it."""
        return "detect" if self.boxes else "classify"

    @property
    def num_classes(self) -> int:
        """Return the number of classes."""
        return len(self.labels)
