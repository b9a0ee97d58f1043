from __future__ import annotations

from pathlib import Path

import pytest
import torch

from compress.core.artifact import Artifact
from compress.core.dataset import FolderData
from compress.core.digest import sha256_file
from compress.core.formats import Format
from compress.core.stage import RunContext
from compress.distill import stage
from compress.distill.config import DistillConfig
from compress.engine.checkpoint import CHECKPOINT_FILE
from compress.errors import StageError, UsageError
from compress.models.build import build_model, new_spec
from compress.models.weights import load_model, save_model

LABELS = ("blue", "green", "red")
FIT = {"epochs": 3, "batch_size": 8, "lr": 0.01, "label_smoothing": 0.0}


class ColourTeacher(torch.nn.Module):
    """Knows the classes by their mean colour; its own preprocessing is that of its spec (mean 0.5, std 0.5)."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(10.0))

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        red, green, blue = images_NCHW.mean(dim=(2, 3)).unbind(1)
        return self.scale * torch.stack([blue, green, red], dim=1)


def _artifact(path: Path, stage_id: str, labels=LABELS, seed: int = 0, input_px: int = 32) -> Artifact:
    spec = new_spec("tiny", labels, input_px)
    spec = save_model(path, build_model(spec, seed=seed), spec)
    return Artifact(
        stage_id=stage_id, kind="train", format=Format.TORCH, path=path, sha256=sha256_file(path),
        size_bytes=path.stat().st_size, spec=spec, metrics={},
    )  # fmt: skip


def _inputs(folder: Path, **teacher) -> dict[str, Artifact]:
    student = _artifact(folder / "student.safetensors", "prune", seed=1)
    return {"from": student, "teacher": _artifact(folder / "teacher.safetensors", "train", **teacher)}


def _run(inputs: dict[str, Artifact], photos: Path, folder: Path, **options):
    config = DistillConfig.model_validate({"fit": FIT} | options)
    return stage.run(config, inputs, RunContext(stage_dir=folder, seed=0, data=FolderData(path=photos)))


def test_the_student_learns_from_the_teachers_labels_alone(photos, tmp_path, monkeypatch):
    inputs = _inputs(tmp_path)
    load = stage.load_model

    def load_with_a_knowing_teacher(path: Path):
        model, spec = load(path)
        return (ColourTeacher(), spec) if path == inputs["teacher"].path else (model, spec)

    monkeypatch.setattr(stage, "load_model", load_with_a_knowing_teacher)
    output = _run(inputs, photos, tmp_path / "out", alpha=1.0, fit=FIT | {"epochs": 6})
    assert output.metrics["teacher_top1_pct"] == 100.0
    assert output.metrics["top1_pct"] > output.metrics["student_before_top1_pct"]
    _, spec = load_model(tmp_path / "out" / output.file_name)
    assert spec == output.spec == inputs["from"].spec
    assert not (tmp_path / "out" / CHECKPOINT_FILE).exists()


def test_a_teacher_of_another_input_size_teaches_too(photos, tmp_path):
    output = _run(_inputs(tmp_path, input_px=48), photos, tmp_path / "out", fit=FIT | {"epochs": 1})
    assert output.spec.input_chw == (3, 32, 32)


def test_an_architecture_with_weights_can_teach(photos, tmp_path):
    student, other = _inputs(tmp_path)["from"], _artifact(tmp_path / "other.safetensors", "other", seed=2)
    options = {"teacher_arch": "tiny", "teacher_weights": str(other.path), "teacher_input_px": 32}
    by_arch = _run({"from": student}, photos, tmp_path / "a", **options)
    by_file = _run({"from": student, "teacher": other}, photos, tmp_path / "b")
    assert by_arch.metrics == by_file.metrics


def test_a_teacher_with_another_number_of_classes_is_refused(photos, tmp_path):
    student = _inputs(tmp_path)["from"]
    foreign = _artifact(tmp_path / "foreign.safetensors", "foreign", labels=("a", "b"))
    with pytest.raises(StageError, match="classifier in this file is not for the student's 3 classes"):
        _run({"from": student}, photos, tmp_path / "out", teacher_arch="tiny", teacher_weights=str(foreign.path))


def test_a_teacher_with_other_classes_is_refused_with_the_difference(photos, tmp_path):
    inputs = _inputs(tmp_path, labels=("blue", "green", "violet"))
    with pytest.raises(StageError, match="only the student: red; only the teacher: violet"):
        _run(inputs, photos, tmp_path / "out")


def test_photographs_with_other_classes_are_refused(photos, tmp_path):
    inputs = _inputs(tmp_path)
    inputs["from"] = _artifact(tmp_path / "odd.safetensors", "odd", labels=("blue", "green", "pink"))
    with pytest.raises(StageError, match="only the photographs: red; only the student: pink"):
        _run(inputs, photos, tmp_path / "out")


def test_without_data_it_says_so(tmp_path):
    with pytest.raises(UsageError, match="no `data:` block"):
        stage.run(DistillConfig(), _inputs(tmp_path), RunContext(stage_dir=tmp_path, seed=0, data=None))
