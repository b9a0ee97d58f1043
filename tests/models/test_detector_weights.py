from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from compress.errors import ModelFileError, UsageError
from compress.models.arch_names import DETECTOR_NAMES
from compress.models.archs import library
from compress.models.build import build_model
from compress.models.detector_weights import load_detector
from compress.models.detectors import DETECTORS, new_detector_spec
from compress.models.weights import save_model

ARCH = "ssdlite_mobilenet_v3_small"
Tensors = dict[str, Tensor]


def _detector(classes: int = 2, seed: int = 0, arch: str = ARCH) -> nn.Module:
    return build_model(new_detector_spec(arch, [f"c{index}" for index in range(classes)], 128), seed=seed)


def _classifier(arch: str = ARCH) -> Tensors:
    torch.manual_seed(5)
    return dict(library("timm").create_model(DETECTORS[arch].backbone, num_classes=7).state_dict())


def _copy(model: nn.Module) -> Tensors:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def _same(model: nn.Module, before: Tensors, named: Callable[[str], bool] = lambda name: True) -> bool:
    return all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items() if named(name))


def _saved(folder: Path, tensors: Tensors) -> str:
    save_file(tensors, folder / "weights.safetensors")
    return str(folder / "weights.safetensors")


def test_none_changes_nothing():
    model = _detector()
    before = _copy(model)
    assert "from scratch" in load_detector(model, ARCH, "none")
    assert _same(model, before)


@pytest.mark.parametrize("arch", [name for name, info in DETECTORS.items() if info.backbone])
def test_a_classifiers_file_gives_the_backbone_alone(tmp_path, arch):
    model, tensors = _detector(arch=arch), _classifier(arch)
    before = _copy(model)
    words = load_detector(model, arch, _saved(tmp_path, tensors))
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, tensors[name]), name
    assert _same(model, before, lambda name: not name.startswith("backbone."))
    assert words == "its backbone; fresh are box_heads, extra, score_heads"


@pytest.mark.parametrize("arch", [name for name, info in DETECTORS.items() if info.has_published])
def test_published_weights_are_those_of_the_backbone(monkeypatch, arch):
    tensors, asked = _classifier(arch), []
    monkeypatch.setattr(
        "compress.models.detector_weights.published_weights", lambda name, info: asked.append(name) or tensors
    )
    model = _detector(arch=arch)
    assert load_detector(model, arch, "imagenet").startswith("its backbone")
    assert asked == [DETECTORS[arch].backbone]
    assert torch.equal(model.backbone.conv_stem.weight, tensors["conv_stem.weight"])


@pytest.mark.parametrize("arch", DETECTORS)
def test_the_heads_are_all_that_is_no_backbone(arch):
    assert {"backbone", *DETECTORS[arch].heads} == {name for name, _ in _detector(arch=arch).named_children()}


def test_the_names_are_those_of_the_detectors():
    assert tuple(DETECTORS) == DETECTOR_NAMES


def test_a_classifiers_checkpoint_with_wrappers_and_prefixes(tmp_path):
    model, tensors = _detector(), _classifier()
    wrapped = {"state_dict": {f"module.{name}": tensor for name, tensor in tensors.items()}, "epoch": 3}
    torch.save(wrapped, tmp_path / "weights.pth")
    assert load_detector(model, ARCH, str(tmp_path / "weights.pth")).startswith("its backbone")
    assert torch.equal(model.backbone.conv_stem.weight, tensors["conv_stem.weight"])


def test_what_an_old_file_does_not_count_stays(tmp_path):
    tensors = {name: tensor for name, tensor in _classifier().items() if not name.endswith("num_batches_tracked")}
    model = _detector()
    load_detector(model, ARCH, _saved(tmp_path, tensors))
    assert torch.equal(model.backbone.conv_stem.weight, tensors["conv_stem.weight"])


def test_a_detectors_file_gives_everything(tmp_path):
    source, model = _detector(seed=1), _detector(seed=2)
    save_model(tmp_path / "a.safetensors", source, new_detector_spec(ARCH, ["x", "y"], 128))
    assert load_detector(model, ARCH, str(tmp_path / "a.safetensors")) == "a detector"
    assert _same(model, _copy(source))


def test_scores_of_another_number_of_classes_stay_fresh_and_all_else_is_loaded(tmp_path):
    source, model = _detector(classes=5, seed=1), _detector(classes=2, seed=2)
    before, given = _copy(model), _copy(source)
    words = load_detector(model, ARCH, _saved(tmp_path, given))
    assert words == "a detector; fresh are score_heads"

    def is_scores(name: str) -> bool:
        return name.startswith("score_heads.") and name.split(".")[2] == "1"

    assert sum(map(is_scores, before)) == 2 * 6
    assert _same(model, before, is_scores)
    assert _same(model, given, lambda name: not is_scores(name))


@pytest.mark.parametrize("whole", [False, True], ids=["classifier", "detector"])
def test_another_backbone_is_refused_with_how_much_of_it_is_missing(tmp_path, whole):
    other = "ssdlite_mobilenetv2"
    tensors = _copy(_detector(arch=other)) if whole else _classifier(other)
    model = _detector()
    before = _copy(model)
    prefix = "backbone." if whole else ""
    wanted = {
        name: list(tensor.shape)
        for name, tensor in model.backbone.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    given = {name.removeprefix(prefix): list(tensor.shape) for name, tensor in tensors.items()}
    missing = [name for name, shape in wanted.items() if given.get(name) != shape]
    with pytest.raises(ModelFileError, match=f"{len(missing)} of {len(wanted)} tensors are missing") as caught:
        load_detector(model, ARCH, _saved(tmp_path, tensors))
    assert f"'{missing[0]}'" in caught.value.message
    assert "weights: none" in caught.value.hint
    assert _same(model, before)


@pytest.mark.parametrize("spoil", [lambda weight: None, lambda weight: weight[:, :1].clone()], ids=["gone", "cut"])
def test_one_tensor_that_does_not_fit_is_named(tmp_path, spoil):
    tensors = _classifier()
    spoiled = spoil(tensors.pop("conv_stem.weight"))
    if spoiled is not None:
        tensors["conv_stem.weight"] = spoiled
    with pytest.raises(
        ModelFileError, match=r"1 of \d+ tensors are missing or of another shape \('conv_stem.weight'\)"
    ):
        load_detector(_detector(), ARCH, _saved(tmp_path, tensors))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_numbers_that_are_none_are_refused(tmp_path, bad):
    tensors = _classifier()
    tensors["blocks.0.0.conv_dw.weight"][3, 0, 1, 1] = bad
    model = _detector()
    before = _copy(model)
    with pytest.raises(ModelFileError, match="NaN or inf"):
        load_detector(model, ARCH, _saved(tmp_path, tensors))
    assert _same(model, before)


def test_a_file_that_is_not_there_or_is_none_is_told(tmp_path):
    with pytest.raises(ModelFileError, match="no such file"):
        load_detector(_detector(), ARCH, str(tmp_path / "gone.safetensors"))
    (tmp_path / "bad.safetensors").write_bytes(b"no weights at all")
    with pytest.raises(ModelFileError, match="damaged"):
        load_detector(_detector(), ARCH, str(tmp_path / "bad.safetensors"))


def test_weights_that_nobody_publishes_for_this_padding_are_refused():
    spec = new_detector_spec("ssdlite_mobilenetv2", ("a",), 128)
    with pytest.raises(UsageError, match="nobody publishes ImageNet weights"):
        load_detector(build_model(spec), "ssdlite_mobilenetv2", "imagenet")
