"""Opens teachers: a model of imgc's, an ONNX file, or an architecture with weights. Each comes with its spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from compress.core.artifact import Artifact
from compress.core.formats import Format
from compress.core.preprocess import Preprocess
from compress.core.spec import SPEC_KEY, ModelSpec
from compress.distill.teacher import FileTeacher, Teacher
from compress.errors import StageError, UsageError
from compress.models.arch_names import LIBRARY_PREFIXES
from compress.models.build import build_model, new_spec
from compress.models.library_archs import library_model
from compress.models.weights import load_model, load_pretrained
from compress.runtime.open import open_predictor


@dataclass(frozen=True)
class NamedTeacher:
    """One teacher.

    Attributes:
        name: of the stage, file or architecture, for messages.
        spec: what it is and expects.
        teacher: ready to be asked.
    """

    name: str
    spec: ModelSpec
    teacher: Teacher | FileTeacher


def open_teacher(artifact: Artifact, student: Preprocess, device: str, *, bf16: bool) -> NamedTeacher:
    """Return the teacher in a sealed artifact or a model file.

    Args:
        artifact: TORCH or ONNX.
        student: how the images will arrive.
        device: where they will arrive.
        bf16: whether a torch teacher computes in bfloat16.

    Raises:
        UsageError: an ONNX file of another tool, which says neither its classes nor its preprocessing.
        ModelFileError: the file is damaged.
    """
    if artifact.format is Format.TORCH:
        model, spec = load_model(artifact.path)
        return NamedTeacher(artifact.stage_id, spec, Teacher(model, spec.preprocess, student, device, bf16=bf16))
    if artifact.spec is None:
        raise UsageError(
            f"{artifact.path}: made by another tool; it does not say which classes it knows nor how images are to be "
            f"prepared for it (no '{SPEC_KEY}' in its metadata), so it cannot teach",
            hint="export the teacher with `imgc export`, or write a spec into the file: compress.graph.metadata."
            "embed_spec(model, ModelSpec(arch='foreign', labels=..., input_chw=..., preprocess=...))",
        )
    predictor = open_predictor(artifact.path, threads=torch.get_num_threads())
    return NamedTeacher(artifact.stage_id, predictor.spec, FileTeacher(predictor, student, device))


def build_teacher(
    arch: str,
    weights: Path,
    input_px: int | None,
    labels: Sequence[str],
    student: Preprocess,
    device: str,
    *,
    bf16: bool,
) -> NamedTeacher:
    """Return an architecture with weights as a teacher of these classes.

    Args:
        arch: a key of `compress.models.archs.ARCHS`, or timm:NAME or torchvision:NAME.
        weights: .safetensors or .pth file.
        input_px: side of its input; default the architecture's own.
        labels: its classes in index order, which such a file does not say.
        student: how the images will arrive.
        device: where they will arrive.
        bf16: whether it computes in bfloat16.

    Raises:
        StageError: the classifier is for another number of classes.
        UsageError: the library has no such architecture.
        ModelFileError: the weights are damaged or do not fit.
    """
    if arch.startswith(LIBRARY_PREFIXES):
        model, spec = library_model(arch, labels, weights, input_px)
        return NamedTeacher(arch, spec, Teacher(model, spec.preprocess, student, device, bf16=bf16))
    spec = new_spec(arch, labels, input_px)
    model = build_model(spec)
    if not load_pretrained(model, spec, weights):
        raise StageError(
            f"{weights}: the classifier in this file is not for the student's {len(labels)} classes "
            f"({', '.join(labels)})",
            hint="a teacher must know the student's classes: fine-tune it on these images first",
        )
    return NamedTeacher(arch, spec, Teacher(model, spec.preprocess, student, device, bf16=bf16))
