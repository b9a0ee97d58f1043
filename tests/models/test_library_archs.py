from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from compress.core.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from compress.errors import ModelFileError, UsageError
from compress.models.library_archs import library_model

LABELS = ("a", "b", "c")
TIMM = "test_resnet"  # timm's own smallest, of 0.5 M parameters
VISION = "shufflenet_v2_x0_5"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return name -> a file of seeded weights, each in one of the two formats."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    save_file(timm.create_model(TIMM, num_classes=3).state_dict(), folder / "timm.safetensors")
    state = torchvision.models.get_model(VISION, weights=None, num_classes=3).state_dict()
    torch.save({"state_dict": state}, folder / "vision.pth")
    return {"timm": folder / "timm.safetensors", "torchvision": folder / "vision.pth"}


def test_a_timm_network_has_the_weights_and_the_preprocessing_of_its_pretrained_config(weights):
    model, spec = library_model(f"timm:{TIMM}", LABELS, weights["timm"])
    expected = timm.create_model(TIMM, num_classes=3)
    expected.load_state_dict(timm.models.load_state_dict(str(weights["timm"])))
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(images), expected.eval()(images))
    published = timm.get_pretrained_cfg(TIMM)
    side = published.input_size[1]
    assert spec.preprocess == Preprocess(
        resize_px=round(side / published.crop_pct),
        crop_px=side,
        interpolation=published.interpolation,
        mean=published.mean,
        std=published.std,
    )
    assert (spec.arch, spec.labels, spec.input_chw) == (f"timm:{TIMM}", LABELS, (3, side, side))


def test_a_torchvision_network_has_the_preprocessing_of_its_published_weights(weights):
    model, spec = library_model(f"torchvision:{VISION}", LABELS, weights["torchvision"])
    assert not model.training
    assert spec.preprocess == Preprocess(resize_px=256, crop_px=224, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    state = torch.load(weights["torchvision"], weights_only=True)["state_dict"]
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_another_input_size_keeps_the_border_of_the_published_one(weights):
    spec = library_model(f"torchvision:{VISION}", LABELS, weights["torchvision"], 112)[1]
    assert (spec.preprocess.crop_px, spec.preprocess.resize_px) == (112, 128)


@pytest.mark.parametrize("arch", ["timm:vit_tiny_patch16_224", "torchvision:vit_b_16"])
def test_a_transformer_is_built_for_its_input_size(arch, tmp_path, monkeypatch):
    monkeypatch.setattr("compress.models.library_archs.load_strictly", lambda *_: None)
    model, spec = library_model(arch, LABELS, tmp_path / "unread.pth", 32)
    with torch.no_grad():
        assert model(torch.zeros(1, *spec.input_chw)).shape == (1, 3)


@pytest.mark.parametrize(
    ("arch", "message", "hint"),
    [
        ("timm:test_resnett", "timm has no classifier called 'test_resnett'", "did you mean 'timm:test_resnet'?"),
        (
            "torchvision:resnt18",
            "torchvision has no classifier called 'resnt18'",
            "did you mean 'torchvision:resnet18'?",
        ),
        ("torchvision:fasterrcnn_resnet50_fpn", "no classifier called", ""),
        ("timm:zzzzzzzz", "no classifier", "allowed: timm:, torchvision: and a name"),
    ],
)
def test_a_name_the_library_does_not_know(weights, arch, message, hint):
    with pytest.raises(UsageError, match=message) as error:
        library_model(arch, LABELS, weights["timm"])
    assert hint in error.value.hint


def test_weights_of_other_classes_are_refused(weights):
    with pytest.raises(ModelFileError, match=r"'fc\.weight' is \[3, \d+\], needed \[2, \d+\]") as error:
        library_model(f"timm:{TIMM}", LABELS[:2], weights["timm"])
    assert "its classifier must have their classes" in error.value.hint


def test_images_resized_as_we_cannot_are_refused(weights, monkeypatch):
    data = {"input_size": (3, 64, 64), "interpolation": "lanczos", "mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    monkeypatch.setattr("timm.data.resolve_model_data_config", lambda _: {**data, "crop_pct": 1.0})
    with pytest.raises(UsageError, match="resized with 'lanczos'; we have bilinear, bicubic"):
        library_model(f"timm:{TIMM}", LABELS, weights["timm"])
