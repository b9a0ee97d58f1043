"""Options of the quantize stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from compress.core.formats import Format
from compress.core.preprocess import Preprocess
from compress.core.stage import OwnImages, StageConfig
from compress.engine.detection.options import DetectOptions
from compress.engine.options import Epochs, FitOptions, Share
from compress.graph.targets import TARGETS, Activation, HardSwishMode, Stem, Target, TargetName
from compress.models.arch_names import known_arch, known_weights, weight_files

Side = Annotated[int, Field(ge=16, le=2048)]
Scheme = Literal["int8_static", "int8_qat", "dynamic", "auto"]


class QatOptions(FitOptions):
    """A fit that starts where a trained model is: short, at a tenth of a fine-tuning's rate, labels not smoothed."""

    epochs: Epochs = Field(default=4, description="Passes over the training split, the frozen ones included.")
    lr: float = Field(
        default=2e-4,
        gt=0.0,
        le=10.0,
        description="Highest learning rate, at the end of the warm-up: a tenth of a fine-tuning's.",
    )
    warmup_epochs: float = Field(
        default=0.5,
        ge=0.0,
        description="Epochs in which the learning rate grows linearly from 0 to `lr`, after the frozen epochs; may be"
        " a fraction; at most half of what is left.",
    )
    label_smoothing: Share = Field(default=0.0, description="Probability mass spread over all classes, 0..1.")


class ReconstructOptions(BaseModel):
    """Block reconstruction, see `compress.quantize.ptq.reconstruct`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(
        default=300,
        ge=0,
        le=100_000,
        description="Optimizer steps, at most so many that each image is seen 40 times; 0 is off.",
    )
    batch_size: int = Field(default=32, ge=1, le=1024, description="Images in a step.")
    lr: float = Field(
        default=0.02, gt=0.0, le=1.0, description="Highest learning rate of the weights, in steps of their own grids."
    )
    lr_scale: float = Field(
        default=1e-3, gt=0.0, le=1.0, description="Highest learning rate of the logarithms of the scales."
    )


def _preset(given: Mapping[str, Any]) -> Target:
    """Return the target whose defaults apply: the one that was given, else what suits ONNX Runtime and LiteRT alike."""
    name = given.get("target")
    return TARGETS[name] if name else replace(TARGETS["ort-x86"], hard_swish="float")


def _learns_nothing(given: Mapping[str, Any]) -> bool:
    options = given.get("reconstruct")
    return given.get("scheme") != "int8_qat" and isinstance(options, ReconstructOptions) and options.steps == 0


def _stem(given: Mapping[str, Any]) -> Stem:
    """Return `int8` where the target allows no floats, or where the stem's hard-swish is to be another function."""
    swaps = given.get("hard_swish") in ("relu6", "relu6_early")
    return "int8" if swaps or _preset(given).float_ops == frozenset() else "float"


class QuantizeConfig(StageConfig):
    """Make an int8 model from a float one: from a stage or a file, or from an architecture and its weights."""

    consumes: ClassVar[frozenset[Format]] = frozenset({Format.TORCH, Format.ONNX})
    entry_point: ClassVar[str] = "compress.quantize.stage:run"
    version: ClassVar[int] = 6
    backends: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "onnx", "onnxscript", "onnxruntime")
    instead_of_input: ClassVar[tuple[str, str] | None] = ("arch", "weights")
    instead_of_data: ClassVar[OwnImages | None] = OwnImages("scheme", "int8_static", "calibration")
    knobs: ClassVar[tuple[str, ...]] = (
        *("scheme", "arch", "weights", "input_px", "calibration", "calibration_count"),
        *("target", "exclude", "sensitivity", "max_drop_pp", "min_agreement_pct", "preprocess", "labels", "fit.epochs"),
    )

    kind: Literal["quantize"] = Field(default="quantize", description="Kind of the stage: `quantize`.")
    scheme: Scheme = Field(
        default="int8_static",
        description="How the model is made: `int8_static` calibrates ranges and reconstructs (no labels), `int8_qat` "
        "trains from there, `dynamic` stores int8 weights only; `auto` makes fp32, int8 with each way to "
        "compute stem and hard-swish, and where none of those keeps the constraint int8 with the worst "
        "layers float, measures each in the target's runtime here, and takes the fastest that keeps the "
        "constraint; the table is written as `plan.json`.",
    )
    arch: str | None = Field(
        default=None,
        description="Architecture to start from instead of a model: a name such as mobilenet_v3_small; goes with "
        "`weights`.",
    )
    weights: str | None = Field(
        default=None,
        description="Weights of `arch`: `imagenet` (downloaded; the default), `none` (random), or a .safetensors or "
        ".pth file, whose head says how many classes there are. 1000 classes are ImageNet's.",
    )
    input_px: Side | None = Field(
        default=None, description="Side of the square input of `arch`, in pixels; default its own."
    )
    preprocess: Preprocess | None = Field(
        default=None,
        description="How images are prepared, for `arch` if not as published, and for an ONNX file of another tool.",
    )
    labels: Path | None = Field(
        default=None, description="File of class names, one a line, for an ONNX file of another tool."
    )
    calibration: Path | None = Field(
        default=None,
        description="Images to calibrate on instead of the training images: any folder, nested or flat, or a CSV with"
        " a column `path`; no labels needed. Without a data block every fifth is kept to judge the file "
        "with; a model of the bundled data set takes its images where none are named.",
    )
    on_bad_image: Literal["error", "skip"] = Field(
        default="error", description="What a damaged image in `calibration` is: an `error`, or left out (`skip`)."
    )
    calibration_count: int = Field(
        default=512,
        ge=8,
        le=10_000,
        description="Number of images that the ranges are found on, balanced over classes (folders).",
    )
    target: TargetName | None = Field(
        default_factory=lambda given: "cpu-xnnpack" if given.get("scheme") == "auto" else None,
        description="What the int8 model is to run on; checked by node name. It sets `activation` and `hard_swish` "
        "where they are not given.",
    )
    range_rule: Literal["mse", "minmax", "percentile", "entropy"] = Field(
        default="mse",
        description="Rule that picks a range from what was seen: `mse` clips where rounding gains more than clipping "
        "loses, each channel's error counted by what the layers behind make of it, `percentile` where too"
        " few values lie beyond, `entropy` where the distribution stays most alike, `minmax` nowhere.",
    )
    percentile: float = Field(
        default=99.99,
        ge=50.0,
        le=100.0,
        description="Share of the values inside a range, in percent, for the rule of that name.",
    )
    hard_swish: HardSwishMode = Field(
        default_factory=lambda given: _preset(given).hard_swish,
        description="How hard-swish is computed: `float` in float inside the int8 model; `gate` as an addition and a "
        "product of integers with equal float outputs: a little less accurate, faster in ONNX Runtime. "
        "`relu6` puts ReLU6 in its place and `relu6_early` in the first layers only (`gate` in the "
        "others): another network, that int8_qat has to teach anew, by distillation from the float model."
        " Default: what suits the target.",
    )
    stem: Stem = Field(
        default_factory=lambda given: _stem(given),
        description="How the stem is computed: `float` leaves the first convolution, the hard-swish behind it and a "
        "depthwise convolution behind that in float, which costs no time on x86 and saves most of the "
        "accuracy that int8 loses; a stem without hard-swish is int8 anyway. Default `float`, but `int8` "
        "where the target allows no floats or a swap is wanted there.",
    )
    exclude: tuple[str, ...] = Field(
        default=(),
        description="Layers that stay float, by name or pattern with `*`; `imgc quantize --sensitivity` ranks them.",
    )
    sensitivity: bool = Field(
        default=False,
        description="Also measure what each layer costs: one layer int8, all else float, on 64 images; written as "
        "`sensitivity.json` and, where the extra `report` is installed, `sensitivity.svg`.",
    )
    max_drop_pp: Annotated[float, Field(ge=0.0, le=100.0)] | None = Field(
        default=None,
        description="Most points of top-1 (percentage points) that the file may lose on the validation images "
        "(int8_static, auto); where it loses more, the layers that cost most stay float, as few as it "
        "takes, at most half, and none that hold more than a fifth of the weights together. auto takes "
        "1.0, or without labels min_agreement_pct 95, where neither is given.",
    )
    min_agreement_pct: Annotated[float, Field(ge=0.0, le=100.0)] | None = Field(
        default=None,
        description="Least share of answers equal to the float model's, in percent (int8_static, auto): as "
        "max_drop_pp, but it needs no labels.",
    )
    reconstruct: ReconstructOptions = Field(
        default=ReconstructOptions(),
        description="How the int8 model learns, from the calibration images alone and without labels, to repeat what "
        "the float model computes; `steps: 0` is quick, and less accurate. int8_qat trains from where "
        "this ends.",
    )
    correct_biases: bool = Field(
        default_factory=lambda given: _learns_nothing(given),
        description="Whether each layer's mean output is brought back to the float model's at the start. Default only"
        " where nothing is learned: learning from there ends worse.",
    )
    activation: Activation = Field(
        default_factory=lambda given: _preset(given).activation,
        description="Type of the activations in ONNX; uint8 is fast on x86, int8 on ARM. The grids are the same. "
        "Default: the target's.",
    )
    alpha: float = Field(
        default=0.9,
        ge=0.0,
        le=1.0,
        description="Share of the float model's soft labels in the training loss, 0..1 (int8_qat).",
    )
    temperature: float = Field(default=2.0, ge=0.5, le=20.0, description="Softens both distributions (int8_qat).")
    freeze_ranges_at: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="Share of the epochs after which ranges are learned no more, 0..1 (int8_qat).",
    )
    fit: QatOptions = Field(default=QatOptions(), description="Options of the training loop (int8_qat).")
    detect: DetectOptions = Field(default=DetectOptions(), description="How a detector learns (int8_qat), as in train.")

    @field_validator("arch")
    @classmethod
    def _arch_exists(cls, value: str | None) -> str | None:
        return value if value is None else known_arch(value)

    @field_validator("weights")
    @classmethod
    def _weights_are_known(cls, value: str | None) -> str | None:
        return value if value is None else known_weights(value)

    @model_validator(mode="after")
    def _one_source(self) -> QuantizeConfig:
        if self.arch is not None and self.from_ is not None:
            raise ValueError(f"give `arch` or `from`, not both (found arch '{self.arch}' and from '{self.from_}')")
        for option in ("weights", "input_px"):
            if self.arch is None and getattr(self, option) is not None:
                raise ValueError(f"`{option}` goes with `arch`: a model that is read has its own")
        side = self.preprocess.crop_px if self.preprocess else None
        if self.input_px is not None and side not in (None, self.input_px):
            raise ValueError(f"input_px is {self.input_px}, but preprocess.crop_px is {side}; give one of them")
        return self

    @model_validator(mode="after")
    def _fits_the_target(self) -> QuantizeConfig:
        if self.target is None:
            return self
        target = TARGETS[self.target]
        if target.activation_fixed and self.activation != target.activation:
            raise ValueError(
                f"target {target.name} is fast with activation {target.activation}, found {self.activation}"
            )
        if self.scheme == "dynamic" and target.runs is Format.TFLITE:
            raise ValueError(f"scheme dynamic runs in ONNX Runtime only, target {target.name} is TFLite's")
        return self

    @model_validator(mode="after")
    def _swaps_what_is_int8(self) -> QuantizeConfig:
        if self.stem == "float" and self.hard_swish in ("relu6", "relu6_early"):
            raise ValueError(
                f"hard_swish {self.hard_swish} swaps that of the stem too, found stem float; leave `stem` out for int8"
            )
        return self

    @model_validator(mode="after")
    def _searches_where_it_can(self) -> QuantizeConfig:
        if self.sensitivity and self.scheme not in ("int8_static", "int8_qat"):
            raise ValueError(f"sensitivity is about the ranges of one int8 model; found scheme {self.scheme}")
        if self.scheme == "auto" and self.target is None:
            raise ValueError("scheme auto measures for a target, found none; leave `target` out for cpu-xnnpack")
        for option in ("max_drop_pp", "min_agreement_pct"):
            if getattr(self, option) is not None and self.scheme not in ("int8_static", "auto"):
                raise ValueError(
                    f"{option} goes with scheme int8_static or auto, found {self.scheme}; use a gate for others"
                )
        return self

    @property
    def produces(self) -> Format:
        """Return ONNX: the QDQ model."""
        return Format.ONNX

    @property
    def must_have_data(self) -> bool:
        """Return False where the calibration images suffice; training needs images with labels."""
        return self.calibration is None or self.scheme == "int8_qat"

    def references(self) -> dict[str, str | None]:
        """Return the input model, and none where an architecture is given."""
        return {} if self.arch is not None else {"from": self.from_}

    def files(self) -> dict[str, Path]:
        """Return the files of weights and of class names, where they are given."""
        return weight_files(self.weights) | ({} if self.labels is None else {"labels": self.labels})

    def folders(self) -> dict[str, Path]:
        """Return the calibration images, where some are given."""
        return {} if self.calibration is None else {"calibration": self.calibration}
