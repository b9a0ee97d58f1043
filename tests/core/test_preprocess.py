import pytest
from pydantic import ValidationError

from compress.core.preprocess import IMAGENET_MEAN, IMAGENET_STD, PRESETS, Preprocess, preset


def test_it_survives_json():
    preprocess = Preprocess(resize_px=184, crop_px=160, mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 0.125))
    assert Preprocess.model_validate_json(preprocess.model_dump_json()) == preprocess


def test_files_that_do_not_name_the_order_of_channels_mean_red_first():
    plain = Preprocess(resize_px=184, crop_px=160)
    without = plain.model_dump_json(exclude={"channel_order"})
    assert Preprocess.model_validate_json(without, strict=True) == plain
    assert plain.channel_order == "RGB"


def test_read_strictly_a_list_of_numbers_is_three_channels_and_of_texts_none():
    fields = '{"resize_px": 184, "crop_px": 160, "mean": [%s, 0, 0.5]}'
    assert Preprocess.model_validate_json(fields % "0.5", strict=True).mean == (0.5, 0.0, 0.5)
    with pytest.raises(ValidationError, match="valid number"):
        Preprocess.model_validate_json(fields % '"0.5"', strict=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"resize_px": 100, "crop_px": 160},
        {"resize_px": 8, "crop_px": 8},
        {"resize_px": 9999, "crop_px": 9999},
        {"resize_px": 160, "crop_px": 160, "std": (0.0, 1.0, 1.0)},
        {"resize_px": 160, "crop_px": 160, "interpolation": "nearest"},
        {"resize_px": 160, "crop_px": 160, "more": 1},
        {"resize_px": 160, "crop_px": 160, "fit": "pad"},
        {"resize_px": 180, "crop_px": 160, "fit": "stretch"},
        {"resize_px": 160, "crop_px": 160, "channel_order": "GBR"},
    ],
)
def test_impossible_values_are_refused(wrong):
    with pytest.raises(ValidationError):
        Preprocess(**wrong)


@pytest.mark.parametrize(
    ("text", "px", "expected"),
    [
        ("imagenet", 224, (256, 224, IMAGENET_MEAN, IMAGENET_STD)),
        ("imagenet:160", None, (183, 160, IMAGENET_MEAN, IMAGENET_STD)),
        ("tf:224", 32, (256, 224, (0.5,) * 3, (0.5,) * 3)),
        ("unit", 96, (96, 96, (0.0,) * 3, (1.0,) * 3)),
        ("caffe", 224, (256, 224, (103.939 / 255, 116.779 / 255, 123.68 / 255), (1 / 255,) * 3)),
    ],
)
def test_a_preset_is_a_preprocessing_of_the_models_size(text, px, expected):
    found = preset(text, px)
    assert (found.resize_px, found.crop_px, found.mean, found.std) == expected
    assert found.channel_order == ("BGR" if text == "caffe" else "RGB")


@pytest.mark.parametrize(
    ("text", "words"),
    [("dark", ", ".join(PRESETS)), ("imagenet", "imagenet:224"), ("tf:", "number of pixels"), ("tf:-1", "of pixels")],
)
def test_what_is_no_preset_is_said(text, words):
    with pytest.raises(ValueError, match=words):
        preset(text)


def test_what_is_no_name_is_left_to_others():
    assert preset('{"resize_px": 256}') is None
    assert preset("prepare.json") is None
