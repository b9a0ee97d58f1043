"""ssdlite_mobilenet_v3_large is torchvision's: its files of weights fit, its numbers and its anchors are the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.detection.image_list import ImageList

from compress.detect.coding import anchors_of, corners
from compress.models.build import build_model, output_modules
from compress.models.detector_weights import fitting_detectors, load_detector
from compress.models.detectors import new_detector_spec

pytestmark = pytest.mark.slow
ARCH = "ssdlite_mobilenet_v3_large"
COCO = tuple(f"thing {index}" for index in range(90))


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    return ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=91).eval()


@pytest.fixture(scope="module")
def weights(theirs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "coco.pth"
    torch.save(theirs.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, 320, 320, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_the_numbers_are_torchvisions(theirs, weights, images):
    ours = build_model(new_detector_spec(ARCH, COCO), seed=1).eval()
    assert load_detector(ours, ARCH, str(weights)) == "a detector"
    with torch.no_grad():
        raw, logits = ours(images)
        wanted = theirs.head(list(theirs.backbone(images).values()))
    assert torch.equal(raw, wanted["bbox_regression"])
    assert torch.equal(logits, wanted["cls_logits"])


def test_the_anchors_are_torchvisions(theirs, images):
    with torch.no_grad():
        maps = list(theirs.backbone(images).values())
        wanted = theirs.anchor_generator(ImageList(images, [(320, 320)] * 2), maps)[0] / 320
    found = corners(anchors_of(new_detector_spec(ARCH, COCO).boxes))
    assert found == pytest.approx(wanted.numpy(), abs=1e-6)


def test_for_other_classes_the_boxes_heads_are_kept_and_the_scores_heads_are_fresh(theirs, weights):
    ours = build_model(new_detector_spec(ARCH, ("nut",)), seed=1)
    assert load_detector(ours, ARCH, str(weights)) == "a detector; fresh are head"
    own, given = ours.state_dict(), theirs.state_dict()
    boxes = "head.regression_head.module_list.0.1.weight"
    assert torch.equal(own[boxes], given[boxes])
    assert own["head.classification_head.module_list.0.1.weight"].shape[0] == 12


def test_the_file_says_which_detector_it_is_of(weights, tmp_path):
    assert fitting_detectors(weights) == [ARCH]
    small = build_model(new_detector_spec("ssdlite_mobilenet_v3_small", ("nut",)))
    save_file({name: one.contiguous() for name, one in small.state_dict().items()}, tmp_path / "small.safetensors")
    assert fitting_detectors(tmp_path / "small.safetensors") == ["ssdlite_mobilenet_v3_small"]
    backbone = {name.removeprefix("backbone."): one for name, one in small.backbone.state_dict().items()}
    save_file({name: one.contiguous() for name, one in backbone.items()}, tmp_path / "backbone.safetensors")
    assert fitting_detectors(tmp_path / "backbone.safetensors") == []


def test_the_output_layers_are_those_whose_channels_are_anchors():
    spec = new_detector_spec(ARCH, ("nut", "bolt"))
    model = build_model(spec)
    widths = {model.get_submodule(name).out_channels for name in output_modules(spec)}
    assert widths == {6 * 4, 6 * 3}
    assert len(output_modules(spec)) == 12
