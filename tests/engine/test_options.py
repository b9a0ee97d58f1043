from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from compress.engine.options import FitOptions


@pytest.mark.parametrize(
    ("key", "value"), [("lr", 0.0), ("batch_size", 1), ("mixup", -1.0), ("crop_scale_min", 0.0), ("momentun", 0.9)]
)
def test_refuses_what_cannot_be_trained_with(key, value):
    with pytest.raises(ValidationError):
        FitOptions.model_validate({key: value})


def test_more_frozen_epochs_than_epochs_is_refused():
    with pytest.raises(ValidationError, match="freeze_epochs must be at most epochs"):
        FitOptions(epochs=2, freeze_epochs=3)


PLAIN = FitOptions(crop_scale_min=1.0, crop_ratio=1.0, flip="none")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("crop_scale_min", 0.9), ("crop_ratio", 1.1), ("flip", "horizontal"), ("flip", "both"), ("color_jitter", 0.1),
        ("randaugment", 1), ("mixup", 0.1), ("cutmix", 0.1), ("progressive_px", 32),
    ],
)  # fmt: skip
def test_each_augmentation_alone_makes_it_random(option, value):
    assert PLAIN.is_deterministic
    assert not PLAIN.model_copy(update={option: value}).is_deterministic
    assert not FitOptions().is_deterministic


def test_importing_the_options_loads_no_backend():
    code = "import sys, compress.engine.options; print(sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
