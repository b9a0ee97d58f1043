from __future__ import annotations

from pathlib import Path

import pytest
import torch

from compress.models.build import build_model
from compress.models.detector_weights import fitting_detectors, load_detector
from compress.models.detectors import new_detector_spec
from compress.models.tf_ssdlite import MARK, renamed
from compress.models.weights import read_weights

PERSON = Path(__file__).parents[3] / "shared/data/weights/ssdlite300_mobilenetv2_person.safetensors"
ARCH = "ssdlite_mobilenetv2"
_FIRST_HEADS = {f"{kind}_heads.0.1.{part}" for kind in ("box", "score") for part in ("weight", "bias")}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (MARK, "backbone.conv_stem.weight"),
        ("backbone.Conv_1.bn.running_mean", "backbone.bn2.running_mean"),
        ("backbone.blocks.0.depthwise.conv.weight", "backbone.blocks.0.0.conv_dw.weight"),
        ("backbone.blocks.0.project.bn.bias", "backbone.blocks.0.0.bn2.bias"),
        ("backbone.blocks.2.expand.bn.weight", "backbone.blocks.1.1.bn1.weight"),
        ("backbone.blocks.16.project.conv.weight", "backbone.blocks.6.0.conv_pwl.weight"),
        ("backbone.extra.3.1.bn.running_var", "extra.3.1.1.running_var"),
        ("box.4.dw.conv.weight", "box_heads.4.0.0.weight"),
        ("cls.5.pw.bias", "score_heads.5.1.bias"),
    ],
)
def test_a_tensor_gets_our_name(theirs: str, ours: str):
    assert list(renamed({theirs: torch.zeros(1)})) == [ours]


def test_anchors_and_numbers_of_the_heads_get_our_order():
    box, score = torch.arange(24.0), torch.arange(12.0)
    found = renamed({"box.1.pw.bias": box, "cls.1.pw.bias": score})
    # y, x, h, w of the API's sizes 0, 5, 1 .. 4 become x, y, w, h
    assert found["box_heads.1.1.bias"].tolist()[:12] == [1, 0, 3, 2, 21, 20, 23, 22, 5, 4, 7, 6]
    assert found["score_heads.1.1.bias"].tolist() == [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]
    three = renamed({"box.0.pw.bias": torch.arange(12.0)})["box_heads.0.1.bias"]
    assert three.tolist() == list(range(12)), "the first map has other anchors: its heads do not fit and stay"


@pytest.mark.real
@pytest.mark.skipif(not PERSON.is_file(), reason="needs ../shared/data")
def test_the_person_detector_is_a_start():
    model = build_model(new_detector_spec(ARCH, ("person",), 300))
    fresh = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert load_detector(model, ARCH, str(PERSON)) == "a detector; fresh are box_heads, score_heads"
    given = renamed(read_weights(PERSON))
    for name, tensor in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(tensor, fresh[name] if name in _FIRST_HEADS else given[name]), name
    assert fitting_detectors(PERSON) == [ARCH]


@pytest.mark.real
@pytest.mark.skipif(not PERSON.is_file(), reason="needs ../shared/data")
def test_another_number_of_classes_leaves_the_scores_fresh():
    model = build_model(new_detector_spec(ARCH, ("ace", "king"), 300))
    assert "score_heads" in load_detector(model, ARCH, str(PERSON))
    given = renamed(read_weights(PERSON))
    assert torch.equal(model.state_dict()["box_heads.1.1.bias"], given["box_heads.1.1.bias"])
