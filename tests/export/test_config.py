from __future__ import annotations

import pytest
from pydantic import ValidationError

from compress.core.formats import Format
from compress.errors import RecipeError
from compress.export.config import ExportConfig


def test_all_stands_for_a_stage_of_each_format():
    stages = ExportConfig(id="out", precision="fp16").expand()
    assert [(stage.id, stage.format, stage.precision) for stage in stages] == [
        ("out-onnx", "onnx", "fp16"),
        ("out-tflite", "tflite", "fp16"),
    ]
    assert [stage.produces for stage in stages] == [Format.ONNX, Format.TFLITE]
    assert all(stage.expand() == (stage,) for stage in stages)


def test_all_has_no_format_of_its_own():
    with pytest.raises(RecipeError, match="two files"):
        _ = ExportConfig().produces


@pytest.mark.parametrize("options", [{"opset": 13}, {"opset": 22}, {"format": "pb"}, {"parity": {"images": 0}}])
def test_options_that_cannot_be(options):
    with pytest.raises(ValidationError):
        ExportConfig.model_validate(options)
