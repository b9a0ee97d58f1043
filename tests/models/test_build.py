from __future__ import annotations

import pytest
import torch
from torch import nn

from compress.core.spec import LayerShape
from compress.errors import ModelFileError, UsageError
from compress.models.build import build_model, count_macs, count_params, describe, layer_table, new_spec


def test_a_new_spec_takes_what_is_not_given_from_the_architecture():
    spec = new_spec("tf_mobilenetv3_small_100", ["a", "b"], 160)
    assert (spec.input_chw, spec.preprocess.crop_px, spec.preprocess.resize_px) == ((3, 160, 160), 160, 183)
    assert spec.preprocess.mean == (0.5, 0.5, 0.5)
    own = new_spec("tiny", ["a"], resize_px=110, mean=(0.1, 0.2, 0.3), interpolation="bicubic")
    assert (own.preprocess.resize_px, own.preprocess.crop_px, own.preprocess.interpolation) == (110, 96, "bicubic")
    assert own.preprocess.mean == (0.1, 0.2, 0.3)


def test_an_unknown_architecture_is_named_with_the_nearest():
    with pytest.raises(UsageError, match="mobilenetv3_small") as caught:
        new_spec("mobilenetv3_small", ["a"])
    assert "mobilenet_v3_small" in caught.value.hint


def test_building_is_decided_by_the_seed_alone():
    spec = new_spec("tiny", ["a", "b"])
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first, again, other = build_model(spec, seed=1), build_model(spec, seed=1), build_model(spec, seed=2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first.conv_stem.weight, again.conv_stem.weight)
    assert not torch.equal(first.conv_stem.weight, other.conv_stem.weight)


def test_macs_are_counted_by_hand():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Flatten(),
        nn.Linear(128, 5),
    )
    model.train()
    assert count_macs(model, (3, 8, 8)) == 8 * 16 * 27 + 8 * 16 * 9 + 128 * 5
    assert model.training
    assert count_params(model) == 8 * 28 + 8 * 10 + 129 * 5


def test_counting_leaves_the_statistics_of_a_network_in_training_alone():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    count_macs(model, (3, 8, 8))
    assert torch.equal(model[1].running_var, torch.ones(4))
    assert int(model[1].num_batches_tracked) == 0


def test_the_layer_table_of_a_stock_network_changes_nothing():
    spec = new_spec("tiny", ["a", "b"])
    model = build_model(spec)
    described = describe(model, spec)
    assert described.params == count_params(model) > 0
    assert described.macs == count_macs(model, spec.input_chw) > 0
    assert layer_table(build_model(described)) == described.layers
    assert layer_table(model)[0] == LayerShape(name="conv_stem", kind="conv", in_features=3, out_features=16)


def _cut(spec, widths):
    """Return the spec with some rows replaced: name -> (in, out, groups)."""
    rows = []
    for row in spec.layers:
        ins, outs, groups = widths.get(row.name, (row.in_features, row.out_features, row.groups))
        rows.append(row.model_copy(update={"in_features": ins, "out_features": outs, "groups": groups}))
    return spec.model_copy(update={"layers": tuple(rows)})


def test_a_narrower_table_gives_a_narrower_network_that_runs():
    spec = new_spec("tiny", ["a", "b"])
    spec = describe(build_model(spec), spec)
    names = ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl")
    conv_pw, bn1, conv_dw, bn2, conv_pwl = (f"blocks.1.0.{name}" for name in names)
    narrow = {
        conv_pw: (16, 40, 1),
        bn1: (40, 40, 1),
        conv_dw: (40, 40, 40),
        bn2: (40, 40, 1),
        conv_pwl: (40, 24, 1),
    }
    model = build_model(_cut(spec, narrow)).eval()
    assert model(torch.zeros(1, *spec.input_chw)).shape == (1, 2)
    assert model.get_submodule(conv_dw).weight.shape == (40, 1, 3, 3)
    assert layer_table(model) == _cut(spec, narrow).layers


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"conv_head": (96, 512, 1)}, "conv_head"),  # wider than stock
        ({"conv_head": (96, 0, 1)}, "conv_head"),
        ({"blocks.1.0.conv_dw": (64, 64, 48)}, "conv_dw"),  # groups do not divide
        ({"blocks.1.0.conv_dw": (64, 64, 1)}, "conv_dw"),  # more inputs a group than it has
        ({"classifier": (256, 3, 1)}, "does not fit 2 labels"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(widths, message):
    spec = new_spec("tiny", ["a", "b"])
    spec = _cut(describe(build_model(spec), spec), widths)
    with pytest.raises(ModelFileError, match=message):
        build_model(spec)


def test_a_table_of_another_architecture_is_refused():
    tiny, other = new_spec("tiny", ["a"]), new_spec("squeezenet1_1", ["a"])
    mixed = tiny.model_copy(update={"layers": describe(build_model(other), other).layers})
    with pytest.raises(ModelFileError, match=r"'[\w.]+', '[\w.]+', .* and \d+ more only on one side"):
        build_model(mixed)
