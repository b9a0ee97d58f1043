from pathlib import Path

import pytest

from compress.core.formats import MODEL_FORMATS, SUFFIX, Format, format_of
from compress.errors import ModelFileError


@pytest.mark.parametrize("fmt", MODEL_FORMATS)
def test_a_format_is_known_by_its_suffix(fmt):
    assert format_of(Path(f"x/model{SUFFIX[fmt].upper()}")) is fmt


def test_a_bench_is_no_model():
    assert Format.BENCH not in MODEL_FORMATS
    with pytest.raises(ModelFileError, match=r"bench\.json.*\.safetensors, \.onnx, \.tflite"):
        format_of(Path("bench.json"))
