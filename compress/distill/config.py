"""Options of the distill stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from compress.core.formats import Format
from compress.core.stage import StageConfig, Training
from compress.engine.detection.options import DetectOptions
from compress.engine.options import FitOptions
from compress.models.arch_names import WEIGHT_SUFFIXES, known_or_library_arch

TEACHER = "teacher"  # the role of the one teacher; of several each has this, a colon and its number from 1
Temperature = Annotated[float, Field(ge=0.5, le=20.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


def _listed(value: object) -> object:
    """Return a name alone as a list of one; strict JSON takes no Python list, so every list becomes a tuple here."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


Names = Annotated[
    tuple[str, ...],
    Field(min_length=1),
    BeforeValidator(_listed, json_schema_input_type=str | Annotated[tuple[str, ...], Field(min_length=1)]),
]


class DistillConfig(StageConfig):
    """Train the student (the `from` input) on a teacher's soft labels.

    The teacher is an earlier stage or a model file (`teacher`), or any architecture with weights (`teacher_arch` and
    `teacher_weights`); with none of them, the planner takes the run's newest train stage. Each teacher sees the
    images in its own normalisation and size.
    """

    consumes: ClassVar[frozenset[Format]] = frozenset({Format.TORCH})
    entry_point: ClassVar[str] = "compress.distill.stage:run"
    version: ClassVar[int] = 2
    backends: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "onnxruntime")
    alternatives: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("teacher",),
        ("teacher_arch", "teacher_weights", "teacher_input_px"),
    )
    knobs: ClassVar[tuple[str, ...]] = ("teacher", "loss", "hints", "temperature", "alpha", "fit.epochs")

    kind: Literal["distill"] = Field(default="distill", description="Kind of the stage: `distill`.")
    teacher: Names | None = Field(
        default=None,
        description="Teacher: a stage's id, a .safetensors file made by imgc, or an .onnx file that carries its spec;"
        " or a list of them, whose mean softened answer is then the soft label. Default: the newest train"
        " stage above.",
    )
    teacher_arch: str | None = Field(
        default=None,
        description="Architecture of a teacher that is no stage: a name as in `arch`, or timm:NAME or "
        "torchvision:NAME; goes with `teacher_weights`.",
    )
    teacher_weights: Path | None = Field(
        default=None,
        description="File with the weights of `teacher_arch`, .safetensors or .pth, its classes in the order of the "
        "student's.",
    )
    teacher_input_px: Annotated[int, Field(ge=16, le=2048)] | None = Field(
        default=None, description="Side of that teacher's square input, in pixels; default the architecture's own."
    )
    teacher_bf16: bool = Field(
        default=False,
        description="Whether torch teachers compute in bfloat16 (autocast). Faster on a GPU; off by default because "
        "it is slower on CPUs without bfloat16 units (measured: 104 instead of 180 images/s).",
    )
    loss: Literal["kd", "dkd"] = Field(
        default="kd",
        description="Loss: `kd` compares whole distributions (Hinton 2015); `dkd` target and other classes apart "
        "(Zhao 2022).",
    )
    dkd_beta: float = Field(
        default=2.0,
        ge=0.0,
        le=100.0,
        description="Weight of the other classes in `dkd`; the paper has 8 for CIFAR-100 and 0.5 for ImageNet, more "
        "where the teacher is surer.",
    )
    temperature: Temperature = Field(
        default=1.0,
        description="Temperature that softens both distributions; more shows more of what the teacher knows about the"
        " wrong classes.",
    )
    temperature_final: Temperature | None = Field(
        default=None, description="Temperature of the last epoch, reached linearly; default the same throughout."
    )
    alpha: Share = Field(
        default=0.5, description="Share of the soft labels in the loss, 0..1; the images' labels have the rest."
    )
    alpha_final: Share | None = Field(
        default=None, description="Alpha of the last epoch, reached linearly; default the same throughout."
    )
    hints: float = Field(
        default=0.0,
        ge=0.0,
        le=1000.0,
        description="Weight of the feature hints (FitNets, Romero 2015) from the first torch teacher; 0 is off.",
    )
    detect: DetectOptions = Field(
        default=DetectOptions(), description="Augmentation and loss of a detector, as in train."
    )
    fit: FitOptions = Field(
        default=FitOptions(),
        description="Options of the training loop. Where its augmentation draws nothing and all images are square, "
        "each teacher answers once an image instead of once an epoch (without hints, whose features would"
        " fill the memory).",
    )

    @field_validator("teacher_arch")
    @classmethod
    def _arch_exists(cls, value: str | None) -> str | None:
        return value if value is None else known_or_library_arch(value)

    @field_validator("teacher_weights")
    @classmethod
    def _weights_are_a_file_of_tensors(cls, value: Path | None) -> Path | None:
        if value is not None and not value.name.lower().endswith(WEIGHT_SUFFIXES):
            raise ValueError(f"teacher_weights must be a file ({', '.join(WEIGHT_SUFFIXES)}), found '{value}'")
        return value

    @model_validator(mode="after")
    def _one_teacher(self) -> DistillConfig:
        if (self.teacher_arch is None) != (self.teacher_weights is None):
            raise ValueError("teacher_arch and teacher_weights go together: give both or neither")
        if self.teacher is not None and self.teacher_arch is not None:
            raise ValueError("give either teacher, or teacher_arch and teacher_weights")
        if self.teacher_input_px is not None and self.teacher_arch is None:
            raise ValueError("teacher_input_px belongs to teacher_arch; a stage or imgc file knows its own size")
        if self.teacher is not None and len(set(self.teacher)) < len(self.teacher):
            raise ValueError(f"a teacher counts once, found {', '.join(self.teacher)}")
        return self

    @property
    def produces(self) -> Format:
        """Return TORCH."""
        return Format.TORCH

    def references(self) -> dict[str, str | None]:
        """Return the student and, unless it is an architecture with weights, the teachers."""
        if self.teacher_arch is not None:
            return {"from": self.from_}
        if self.teacher is None or len(self.teacher) == 1:
            return {"from": self.from_, TEACHER: self.teacher[0] if self.teacher else None}
        return {"from": self.from_} | {f"{TEACHER}:{place}": name for place, name in enumerate(self.teacher, start=1)}

    def wants(self, role: str) -> frozenset[Format]:
        """Return what the input in this role may be: only teachers may be ONNX, since they learn nothing."""
        return self.consumes if role == "from" else self.consumes | {Format.ONNX}

    def newest_kind(self, role: str) -> str | None:
        """Return `train` for the teacher: the newest distilled network is a student."""
        return "train" if role == TEACHER else None

    @property
    def training(self) -> Training:
        """Return the epochs and the share of the teacher's answers."""
        return Training(self.fit.epochs, self.alpha)

    def make_sibling(self, lineage: Sequence[StageConfig], beside: str | None) -> StageConfig | None:
        """Return the same training of the input's sibling."""
        return None if beside is None else self.changed(**{"from": beside})

    def files(self) -> dict[str, Path]:
        """Return the teacher's weights file, where one is given."""
        return {} if self.teacher_weights is None else {"teacher_weights": self.teacher_weights}
