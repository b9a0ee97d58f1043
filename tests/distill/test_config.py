from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from compress.core.formats import Format
from compress.distill.config import DistillConfig


def test_reads_the_student_and_a_teacher_by_default():
    config = DistillConfig.model_validate({"teacher": "train", "from": "prune"})
    assert config.references() == {"from": "prune", "teacher": "train"}
    assert DistillConfig().references() == {"from": None, "teacher": None}
    assert config.wants("from") == {Format.TORCH}
    assert config.wants("teacher") == {Format.TORCH, Format.ONNX}
    assert config.files() == {}


def test_an_architecture_with_weights_takes_the_place_of_a_teacher_stage():
    config = DistillConfig(teacher_arch="tiny", teacher_weights=Path("t.safetensors"))
    assert config.references() == {"from": None}
    assert config.files() == {"teacher_weights": Path("t.safetensors")}


def test_several_teachers_have_a_role_each():
    config = DistillConfig.model_validate({"teacher": ["train", "big.onnx"], "from": "prune"})
    assert config.references() == {"from": "prune", "teacher:1": "train", "teacher:2": "big.onnx"}
    assert config.wants("teacher:2") == {Format.TORCH, Format.ONNX}
    assert DistillConfig.model_validate({"teacher": ["train"]}) == DistillConfig.model_validate({"teacher": "train"})


def test_a_teachers_architecture_may_be_a_librarys():
    config = DistillConfig(teacher_arch="timm:resnet18", teacher_weights=Path("t.pth"))
    assert config.teacher_arch == "timm:resnet18"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teacher_arch": "tiny"}, "go together"),
        ({"teacher_weights": "t.pth"}, "go together"),
        ({"teacher": "train", "teacher_arch": "tiny", "teacher_weights": "t.pth"}, "give either"),
        ({"teacher_arch": "tinny", "teacher_weights": "t.pth"}, "did you mean 'tiny'"),
        ({"teacher_arch": "tiny", "teacher_weights": "t.onnx"}, "must be a file"),
        ({"teacher_input_px": 96}, "belongs to teacher_arch"),
        ({"teacher_arch": "timm:", "teacher_weights": "t.pth"}, "also timm:NAME and torchvision:NAME"),
        ({"teacher_arch": "keras:vgg16", "teacher_weights": "t.pth"}, "no architecture is called 'keras:vgg16'"),
        ({"teacher": ["train", "train"]}, "a teacher counts once"),
        ({"teacher": []}, "at least 1 item"),
        ({"teacher": 3}, "valid tuple"),
        ({"loss": "hinton"}, "'kd' or 'dkd'"),
        ({"hints": -1.0}, "greater than or equal to 0"),
        ({"alpha_final": 1.5}, "less than or equal to 1"),
        ({"temperature_final": 0.1}, "greater than or equal to 0.5"),
        ({"alpha": 1.5}, "less than or equal to 1"),
        ({"temperature": 0.0}, "greater than or equal to 0.5"),
    ],
)
def test_refuses_what_makes_no_sense(options, message):
    with pytest.raises(ValidationError, match=message):
        DistillConfig.model_validate(options)
