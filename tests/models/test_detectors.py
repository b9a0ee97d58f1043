from __future__ import annotations

import pytest
import torch
from torch import nn

from compress.core.spec import LayerShape, ModelSpec
from compress.errors import ModelFileError, UsageError
from compress.models.build import build_model, describe, evaluating, layer_table
from compress.models.detectors import DEFAULT_PX, DETECTORS, detector_info, new_detector_spec
from compress.models.weights import load_model, save_model
from tests.lively import liven

LABELS = ("nut", "bolt")
SMALL = "ssdlite_mobilenet_v3_small"


@pytest.fixture(scope="module", params=DETECTORS)
def detector(request: pytest.FixtureRequest) -> tuple[nn.Module, ModelSpec]:
    spec = new_detector_spec(request.param, LABELS, 128)
    return build_model(spec), spec


def test_answers_are_four_numbers_and_a_score_of_each_class_and_the_background(detector):
    model, spec = detector
    with evaluating(model), torch.no_grad():
        raw_NA4, logits_NAK = model(torch.zeros(2, *spec.input_chw))
    assert raw_NA4.shape == (2, spec.boxes.anchors, 4)
    assert logits_NAK.shape == (2, spec.boxes.anchors, 1 + len(LABELS))
    assert spec.task == "detect"


def test_the_stem_is_the_first_convolution_and_timms_backbones_pad_as_tensorflow_does(detector):
    model, spec = detector
    stem = model.get_submodule(DETECTORS[spec.arch].stem)
    assert (stem.in_channels, stem.stride) == (3, (2, 2))
    assert (type(stem).__name__ == "Conv2dSame") == (DETECTORS[spec.arch].backbone is not None)


@pytest.mark.parametrize("side", [128, 200, 300, 320])
def test_the_anchors_of_a_spec_are_those_of_its_network(detector, side):
    model, (arch, labels) = detector[0], (detector[1].arch, LABELS)
    spec = new_detector_spec(arch, labels, side)
    grids: list[tuple[int, ...]] = []
    hooks = [
        head.register_forward_hook(lambda _, inputs, __: grids.append(tuple(inputs[0].shape[2:])))
        for head in model.get_submodule(DETECTORS[arch].head_lists[0])
    ]
    try:
        with evaluating(model), torch.no_grad():
            raw_NA4, _ = model(torch.zeros(1, *spec.input_chw))
    finally:
        for hook in hooks:
            hook.remove()
    assert raw_NA4.shape[1] == spec.boxes.anchors
    assert grids == [(one.rows, one.columns) for one in spec.boxes.maps]


@pytest.mark.parametrize("arch", DETECTORS)
def test_the_whole_image_is_stretched_to_the_input(arch):
    spec = new_detector_spec(arch, LABELS)
    assert (spec.arch, spec.labels, spec.input_chw) == (arch, LABELS, (3, DEFAULT_PX, DEFAULT_PX))
    assert (spec.preprocess.fit, spec.preprocess.crop_px) == ("stretch", DEFAULT_PX)
    assert (spec.preprocess.mean, spec.preprocess.std) == (DETECTORS[arch].mean, DETECTORS[arch].std)


@pytest.mark.parametrize("of", [detector_info, lambda arch: new_detector_spec(arch, LABELS)])
def test_an_unknown_detector_is_told_with_the_nearest(of):
    with pytest.raises(UsageError, match="no detector is called 'ssdlite_mobilenet_v3_smal'") as caught:
        of("ssdlite_mobilenet_v3_smal")
    assert SMALL in caught.value.hint
    with pytest.raises(UsageError, match="ssdlite_mobilenetv2") as caught:
        of("zzz")
    assert caught.value.hint == ""


@pytest.mark.parametrize("side", [1, 127, -320])
def test_too_small_a_side_is_told_with_what_is_usual(side):
    with pytest.raises(UsageError, match=f"input_px {side}: a detector's is 128 to 1024") as caught:
        new_detector_spec(SMALL, LABELS, side)
    assert str(DEFAULT_PX) in caught.value.hint


@pytest.mark.parametrize("side", [1900, 3000])
def test_too_large_a_side_is_told(side):
    with pytest.raises(UsageError, match=f"input_px {side}"):
        new_detector_spec(SMALL, LABELS, side)


def test_a_seed_gives_a_network():
    spec = new_detector_spec(SMALL, LABELS, 128)
    first, same, other = (build_model(spec, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(tensor, same[name]) for name, tensor in first.items())
    for name in ("backbone.conv_stem.weight", "extra.0.0.0.weight", "box_heads.0.1.weight"):
        assert not torch.equal(first[name], other[name])


def _narrowed(rows: tuple[LayerShape, ...], widths: dict[str, tuple[int, int, int]]) -> tuple[LayerShape, ...]:
    """Return the table with other inputs, outputs and groups of the layers named."""
    fields = ("in_features", "out_features", "groups")
    return tuple(
        row.model_copy(update=dict(zip(fields, widths[row.name], strict=True))) if row.name in widths else row
        for row in rows
    )


def _pruned(spec: ModelSpec) -> ModelSpec:
    """Return the spec of a detector some of whose channels were taken away, in a map behind the backbone and in it."""
    widths = {
        "extra.1.0.0": (512, 40, 1),
        "extra.1.0.1": (40, 40, 1),
        "extra.1.1.0": (40, 40, 40),
        "extra.1.1.1": (40, 40, 1),
        "extra.1.2.0": (40, 256, 1),
        "backbone.blocks.1.0.conv_pw": (16, 30, 1),
        "backbone.blocks.1.0.bn1": (30, 30, 1),
        "backbone.blocks.1.0.conv_dw": (30, 30, 30),
        "backbone.blocks.1.0.bn2": (30, 30, 1),
        "backbone.blocks.1.0.conv_pwl": (30, 24, 1),
    }
    return spec.model_copy(update={"layers": _narrowed(layer_table(build_model(spec)), widths)})


@pytest.mark.parametrize("change", [lambda spec: spec, _pruned], ids=["whole", "pruned"])
def test_a_detector_comes_back_from_its_file(tmp_path, change):
    spec = change(new_detector_spec(SMALL, LABELS, 128))
    model = liven(build_model(spec), spec.input_chw)
    stored = save_model(tmp_path / "model.safetensors", model, spec)
    again, read = load_model(tmp_path / "model.safetensors")
    images_NCHW = torch.randn(2, *spec.input_chw)
    with torch.no_grad():
        for expected, found in zip(model(images_NCHW), again(images_NCHW), strict=True):
            assert torch.equal(expected, found)
    assert read == stored == describe(model, spec)
    assert read.boxes == spec.boxes
    assert not spec.layers or read.layers == spec.layers
    assert not again.training


def test_pruning_is_seen_in_parameters_and_arithmetic():
    spec = new_detector_spec(SMALL, LABELS, 128)
    whole, pruned = (describe(build_model(one), one) for one in (spec, _pruned(spec)))
    assert pruned.params < whole.params
    assert pruned.macs < whole.macs


def test_a_layer_table_of_another_detector_is_refused():
    spec = new_detector_spec(SMALL, LABELS, 128)
    other = new_detector_spec("ssdlite_mobilenetv2", LABELS, 128)
    with pytest.raises(ModelFileError, match=f"the layer table does not fit '{SMALL}'"):
        build_model(spec.model_copy(update={"layers": layer_table(build_model(other))}))


def test_a_layer_table_of_another_number_of_classes_is_refused():
    spec = new_detector_spec(SMALL, LABELS, 128)
    stored = spec.model_copy(update={"layers": layer_table(build_model(spec)), "labels": (*LABELS, "screw")})
    with pytest.raises(ModelFileError, match="layer table"):
        build_model(stored)
