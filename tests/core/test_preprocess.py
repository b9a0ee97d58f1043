import pytest
from pydantic import ValidationError

from compress.core.preprocess import Preprocess


def test_it_survives_json():
    preprocess = Preprocess(resize_px=184, crop_px=160, mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 0.125))
    assert Preprocess.model_validate_json(preprocess.model_dump_json()) == preprocess


@pytest.mark.parametrize(
    "wrong",
    [
        {"resize_px": 100, "crop_px": 160},
        {"resize_px": 8, "crop_px": 8},
        {"resize_px": 9999, "crop_px": 9999},
        {"resize_px": 160, "crop_px": 160, "std": (0.0, 1.0, 1.0)},
        {"resize_px": 160, "crop_px": 160, "interpolation": "nearest"},
        {"resize_px": 160, "crop_px": 160, "more": 1},
    ],
)
def test_impossible_values_are_refused(wrong):
    with pytest.raises(ValidationError):
        Preprocess(**wrong)
