import pytest
from pydantic import ValidationError

from compress.core.formats import Format
from compress.quantize.config import QuantizeConfig


def test_the_result_is_onnx_and_the_input_torch_or_onnx():
    config = QuantizeConfig()
    assert config.produces is Format.ONNX
    assert config.consumes == {Format.TORCH, Format.ONNX}
    assert config.references() == {"from": None}


@pytest.mark.parametrize(
    "wrong", [{"scheme": "int4"}, {"calibration_count": 1}, {"alpha": 1.5}, {"temperature": 0}, {"activation": "int16"}]
)
def test_impossible_options_are_refused(wrong):
    with pytest.raises(ValidationError):
        QuantizeConfig(**wrong)
