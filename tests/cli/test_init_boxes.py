"""`imgc init` on images with boxes."""

from __future__ import annotations

import pytest
import torch
import yaml
from safetensors.torch import save_file

from compress.models.archs import ARCHS
from tests.detector_files import write_boxes


@pytest.fixture
def parts(folder):
    write_boxes(folder / "parts")
    return folder


def weights(folder, arch: str) -> str:
    save_file({k: v.contiguous() for k, v in ARCHS[arch].build(3).state_dict().items()}, folder / "w.safetensors")
    return "w.safetensors"


def test_a_coco_set_gets_a_detectors_recipe(imgc, parts):
    result = imgc("init", "parts", "--weights", "none")
    assert result.exit_code == 0, result.stderr
    recipe = yaml.safe_load((parts / "imgc.yaml").read_text())
    assert recipe["data"] == {"kind": "coco", "path": "parts"}
    train = recipe["stages"][0]
    assert (train["arch"], train["input_px"]) == ("ssdlite_mobilenet_v3_small", 320)
    kinds = [stage["kind"] for stage in recipe["stages"]]
    assert kinds == ["train", "prune", "distill", "export", "quantize", "export", "benchmark"]
    assert "nut" in result.stdout
    planned = imgc("plan")
    assert planned.exit_code == 0, planned.stderr
    assert "the times of a detector" in imgc("plan", "--times").stderr


@pytest.mark.parametrize(
    ("backbone", "detector"),
    [
        ("tf_mobilenetv3_small_100", "ssdlite_mobilenet_v3_small"),
        ("mobilenetv2_100_same", "ssdlite_mobilenetv2"),
    ],
)
def test_weights_choose_the_detector_whose_backbone_they_fit(imgc, parts, backbone, detector):
    torch.manual_seed(0)
    result = imgc("init", "parts", "--weights", weights(parts, backbone))
    assert result.exit_code == 0, result.stderr
    assert yaml.safe_load((parts / "imgc.yaml").read_text())["stages"][0]["arch"] == detector


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--arch", "tiny"), "names images, and these have boxes"),
        (("--weights", "gone.pth"), "no such weights file"),
        (("--weights", "w.safetensors"), "not the tensors of a backbone of a detector"),
        (("--weights", "w.safetensors", "--arch", "ssdlite_mobilenetv2"), "not the tensors of a backbone of ssdlite"),
    ],
)
def test_what_does_not_fit_boxes_is_said(imgc, parts, options, words):
    weights(parts, "squeezenet1_1")
    result = imgc("init", "parts", *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (parts / "imgc.yaml").exists()


def test_a_quick_recipe_is_shorter(imgc, parts):
    epochs = []
    for options in ((), ("--quick", "--force")):
        assert imgc("init", "parts", "--weights", "none", *options).exit_code == 0
        epochs.append(yaml.safe_load((parts / "imgc.yaml").read_text())["stages"][0]["fit"]["epochs"])
    assert epochs[1] < epochs[0]
