"""Options of the distill stage."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from compress.core.formats import Format
from compress.core.stage import StageConfig
from compress.engine.options import FitOptions
from compress.models.arch_names import ARCH_NAMES

_WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt")


class DistillConfig(StageConfig):
    """Train the student (the `from` input) on a teacher's soft labels.

    The teacher is an earlier stage or a model file (`teacher`), or any architecture with weights (`teacher_arch` and
    `teacher_weights`); with none of them, the planner takes the run's newest train stage.

    Attributes:
        teacher: stage id or .safetensors file made by imgc.
        teacher_arch: one of `compress.models.arch_names.ARCH_NAMES`.
        teacher_weights: .safetensors or .pth file for `teacher_arch`, its classes in the order of the student's.
        teacher_input_px: side of that teacher's input; default the architecture's own.
        temperature: softens both distributions; more shows more of what the teacher knows about the wrong classes.
        alpha: share of the soft labels in the loss, 0..1; the photographs' labels have the rest.
        fit: the training loop.
    """

    consumes: ClassVar[frozenset[Format]] = frozenset({Format.TORCH})
    entry_point: ClassVar[str] = "compress.distill.stage:run"
    version: ClassVar[int] = 1
    backends: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm")

    kind: Literal["distill"] = "distill"
    teacher: str | None = None
    teacher_arch: str | None = None
    teacher_weights: Path | None = None
    teacher_input_px: Annotated[int, Field(ge=16, le=2048)] | None = None
    temperature: Annotated[float, Field(ge=0.5, le=20.0)] = 2.0
    alpha: Annotated[float, Field(ge=0.0, le=1.0)] = 0.9
    fit: FitOptions = FitOptions()

    @field_validator("teacher_arch")
    @classmethod
    def _arch_exists(cls, value: str | None) -> str | None:
        if value is None or value in ARCH_NAMES:
            return value
        near = difflib.get_close_matches(value, ARCH_NAMES, n=1, cutoff=0.4)
        did_you_mean = f"; did you mean '{near[0]}'?" if near else ""
        raise ValueError(f"no architecture is called '{value}' (allowed: {', '.join(ARCH_NAMES)}){did_you_mean}")

    @field_validator("teacher_weights")
    @classmethod
    def _weights_are_a_file_of_tensors(cls, value: Path | None) -> Path | None:
        if value is not None and value.suffix not in _WEIGHT_SUFFIXES:
            raise ValueError(f"teacher_weights must be a .safetensors or .pth file, found '{value}'")
        return value

    @model_validator(mode="after")
    def _one_teacher(self) -> DistillConfig:
        if (self.teacher_arch is None) != (self.teacher_weights is None):
            raise ValueError("teacher_arch and teacher_weights go together: give both or neither")
        if self.teacher is not None and self.teacher_arch is not None:
            raise ValueError("give either teacher, or teacher_arch and teacher_weights")
        if self.teacher_input_px is not None and self.teacher_arch is None:
            raise ValueError("teacher_input_px belongs to teacher_arch; a stage or imgc file knows its own size")
        return self

    @property
    def produces(self) -> Format:
        """Return TORCH."""
        return Format.TORCH

    def references(self) -> dict[str, str | None]:
        """Return the student and, unless it is an architecture with weights, the teacher."""
        if self.teacher_arch is not None:
            return {"from": self.from_}
        return {"from": self.from_, "teacher": self.teacher}

    def files(self) -> dict[str, Path]:
        """Return the teacher's weights file, where one is given."""
        return {} if self.teacher_weights is None else {"teacher_weights": self.teacher_weights}
