from pathlib import Path

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
    "wrong",
    [
        {"scheme": "int4"},
        {"calibration_count": 1},
        {"alpha": 1.5},
        {"temperature": 0},
        {"activation": "int16"},
        {"arch": "tiny", "input_px": 8},
        {"arch": "tiny", "weights": "some"},
        {"on_bad_image": "drop"},
    ],
)
def test_impossible_options_are_refused(wrong):
    with pytest.raises(ValidationError):
        QuantizeConfig(**wrong)


def test_an_architecture_takes_the_place_of_the_input():
    config = QuantizeConfig(arch="tiny", weights="w.safetensors", calibration=Path("images"))
    assert config.references() == {}
    assert config.files() == {"weights": Path("w.safetensors")}
    assert config.folders() == {"calibration": Path("images")}
    assert QuantizeConfig(arch="tiny").files() == QuantizeConfig(arch="tiny").folders() == {}


@pytest.mark.parametrize(
    ("options", "needs"),
    [
        ({}, True),
        ({"arch": "tiny"}, True),
        ({"calibration": Path("p")}, False),
        ({"calibration": Path("p"), "scheme": "dynamic"}, False),
        ({"calibration": Path("p"), "scheme": "int8_qat"}, True),
    ],
)
def test_calibration_images_suffice_unless_it_trains(options, needs):
    assert QuantizeConfig(**options).must_have_data is needs


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"arch": "tiny", "from": "train"}, "give `arch` or `from`, not both"),
        ({"weights": "none"}, "`weights` goes with `arch`"),
        ({"input_px": 64, "from": "m.onnx"}, "`input_px` goes with `arch`"),
        ({"arch": "tinny"}, "did you mean 'tiny'"),
        (
            {"arch": "tiny", "input_px": 64, "preprocess": {"resize_px": 72, "crop_px": 48}},
            "input_px is 64, but preprocess.crop_px is 48",
        ),
    ],
)
def test_options_that_contradict_each_other_say_which(options, words):
    with pytest.raises(ValidationError, match=words):
        QuantizeConfig.model_validate(options)


def test_the_stem_is_float_unless_the_target_or_a_swap_wants_integers():
    assert QuantizeConfig().stem == QuantizeConfig(target="ort-x86").stem == "float"
    assert QuantizeConfig(target="mcu").stem == QuantizeConfig(hard_swish="relu6_early").stem == "int8"
    with pytest.raises(ValidationError, match="hard_swish relu6 swaps that of the stem too, found stem float"):
        QuantizeConfig(hard_swish="relu6", stem="float")


def test_a_target_sets_what_is_not_given():
    x86 = QuantizeConfig(target="ort-x86")
    assert (x86.activation, x86.hard_swish) == ("uint8", "gate")
    mcu = QuantizeConfig(target="mcu", activation="uint8")
    assert (mcu.activation, mcu.hard_swish) == ("uint8", "gate")
    assert QuantizeConfig(target="cpu-xnnpack").hard_swish == "float"
    assert QuantizeConfig().activation == "uint8"
    with pytest.raises(ValidationError, match="target ort-x86 is fast with activation uint8, found int8"):
        QuantizeConfig(target="ort-x86", activation="int8")
    with pytest.raises(ValidationError, match="scheme dynamic runs in ONNX Runtime only"):
        QuantizeConfig(target="mcu", scheme="dynamic")
    with pytest.raises(ValidationError):
        QuantizeConfig(target="gpu")
