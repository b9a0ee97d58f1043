import pytest

from compress.models.arch_names import ARCH_NAMES, DETECTOR_NAMES, known_trainable


@pytest.mark.parametrize("name", [*ARCH_NAMES, *DETECTOR_NAMES])
def test_what_can_be_trained_is_known(name):
    assert known_trainable(name) == name


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("ssdlite_mobilenetv3_small", "ssdlite_mobilenet_v3_small"),
        ("ssdlite", "ssdlite_mobilenetv2"),
        ("mobilenet_v3_smal", "mobilenet_v3_small"),
    ],
)
def test_the_nearest_name_is_said(name, near):
    with pytest.raises(ValueError, match=f"did you mean '{near}'"):
        known_trainable(name)
