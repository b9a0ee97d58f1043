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
    assert config.wants("teacher") == {Format.TORCH}
    assert config.files() == {}


def test_an_architecture_with_weights_takes_the_place_of_a_teacher_stage():
    config = DistillConfig(teacher_arch="tiny", teacher_weights=Path("t.safetensors"))
    assert config.references() == {"from": None}
    assert config.files() == {"teacher_weights": Path("t.safetensors")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teacher_arch": "tiny"}, "go together"),
        ({"teacher_weights": "t.pth"}, "go together"),
        ({"teacher": "train", "teacher_arch": "tiny", "teacher_weights": "t.pth"}, "give either"),
        ({"teacher_arch": "tinny", "teacher_weights": "t.pth"}, "did you mean 'tiny'"),
        ({"teacher_arch": "tiny", "teacher_weights": "t.onnx"}, "safetensors or .pth"),
        ({"teacher_input_px": 96}, "belongs to teacher_arch"),
        ({"alpha": 1.5}, "less than or equal to 1"),
        ({"temperature": 0.0}, "greater than or equal to 0.5"),
    ],
)
def test_refuses_what_makes_no_sense(options, message):
    with pytest.raises(ValidationError, match=message):
        DistillConfig.model_validate(options)
