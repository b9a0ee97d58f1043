"""Which architectures are searched from which weights: classifiers where images have classes, else detectors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from compress.cli.tune_weights import weights_of
from compress.errors import UsageError
from compress.models.arch_names import DETECTOR_NAMES
from compress.models.archs import ARCHS
from compress.models.build import build_model
from compress.models.detectors import DETECTORS, new_detector_spec

SMALL, OTHER = "ssdlite_mobilenet_v3_small", "ssdlite_mobilenetv2"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return weights of a classifier, of two backbones, and of a whole detector."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    networks = {name: ARCHS[name].build(3) for name in ("squeezenet1_1", "tf_mobilenetv3_small_100", "mobilenetv2_100")}
    networks["detector"] = build_model(new_detector_spec(SMALL, ("a",)))
    for name, network in networks.items():
        save_file(
            {key: tensor.contiguous() for key, tensor in network.state_dict().items()}, folder / f"{name}.safetensors"
        )
    return {name: folder / f"{name}.safetensors" for name in networks}


def test_by_default_those_are_searched_whose_weights_are_published():
    assert weights_of("classify", (), ()) == dict.fromkeys(
        ("mobilenet_v3_small", "squeezenet1_1", "mobilenetv2_100"), "imagenet"
    )
    published = [name for name in DETECTOR_NAMES if DETECTORS[name].has_published]
    assert weights_of("detect", (), ()) == dict.fromkeys(published, "imagenet")
    assert 0 < len(published) < len(DETECTOR_NAMES)


def test_from_scratch_every_detector_is_searched():
    assert weights_of("detect", (), ("none",)) == dict.fromkeys(DETECTOR_NAMES, "none")


def test_what_is_named_is_searched():
    assert weights_of("classify", ("tiny", "squeezenet1_1"), ()) == {"tiny": "none", "squeezenet1_1": "imagenet"}
    assert weights_of("detect", (OTHER,), ("none",)) == {OTHER: "none"}


def test_files_tell_the_detectors_whose_backbone_they_are(files: dict[str, Path]):
    backbones = (str(files["tf_mobilenetv3_small_100"]), str(files["mobilenetv2_100"]))
    found = weights_of("detect", (), backbones)
    assert {arch: Path(path).name for arch, path in found.items()} == {
        SMALL: "tf_mobilenetv3_small_100.safetensors",
        OTHER: "mobilenetv2_100.safetensors",
    }
    assert list(weights_of("detect", (), (str(files["detector"]),))) == [SMALL]
    assert list(weights_of("classify", (), backbones[:1])) == ["tf_mobilenetv3_small_100"]


@pytest.mark.parametrize(
    ("task", "archs", "words", "said"),
    [
        ("detect", ("tiny",), (), "--arch tiny: names images, and these have boxes"),
        ("classify", (SMALL,), (), f"--arch {SMALL}: finds boxes, and these images have classes"),
        ("detect", ("resnet50",), (), "--arch resnet50: unknown; there are ssdlite"),
        ("detect", (OTHER,), (), "nobody publishes ImageNet weights of its backbone"),
        ("detect", (), ("squeezenet1_1",), "fits none of ssdlite"),
        ("classify", (), ("detector",), "fits none of mobilenet_v3_small"),
        ("detect", (SMALL, OTHER), ("detector",), f"--arch {OTHER}: no --weights file fits it"),
    ],
)
def test_what_cannot_be_searched_is_said(files: dict[str, Path], task, archs, words, said):
    with pytest.raises(UsageError, match=said):
        weights_of(task, archs, tuple(str(files[word]) for word in words))
