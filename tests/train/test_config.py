from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from compress.train.config import TrainConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arch": "tf_mobilenetv3_smal_100"}, "did you mean 'tf_mobilenetv3_small_100'"),
        ({"weights": "imagnet"}, "weights must be"),
        ({"weights": "w.onnx"}, "weights must be"),
        ({"input_px": 8}, "greater than or equal to 16"),
        ({"mean": [0.5, 0.5]}, "mean"),
        ({"fit": {"learning_rate": 0.1}}, "learning_rate"),
    ],
)
def test_refuses_what_cannot_be_trained(options, message):
    with pytest.raises(ValidationError, match=message):
        TrainConfig.model_validate(options)


def test_a_weights_file_is_one_of_its_files_and_a_word_is_not():
    assert TrainConfig(weights="w.safetensors").files() == {"weights": Path("w.safetensors")}
    assert TrainConfig(weights="none").files() == {}


def test_needs_no_input():
    assert TrainConfig().references() == {}


def test_the_rooms_configs_load_no_backend():
    code = (
        "import sys, compress.train.config, compress.distill.config;"
        "print(sorted({'torch', 'numpy', 'PIL', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
