from __future__ import annotations

import copy

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from compress.errors import StageError, UsageError
from compress.graph.from_torch import to_onnx
from compress.models.arch_names import ARCH_NAMES
from compress.models.build import arch_info, describe
from compress.models.fold import fold_batch_norm
from compress.models.weights import load_model, save_model
from compress.prune.allocate import Ranking, Widths, allocate
from compress.prune.importance import bn_scale_scores, fisher_scores, group_scores, norm_scores, taylor_scores
from compress.prune.prunable_network import PrunableNetwork

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml

FAMILIES = ("tiny", "mobilenet_v3_small", "tf_mobilenetv3_small_100", "squeezenet1_1", "mobilenetv2_100")


SCOPES = ("local", "global", "isomorphic")


def _anatomy(model, spec, protected=()):
    info = arch_info(spec.arch)
    return PrunableNetwork(model, spec.input_chw, heads=[info.head], protected=(info.stem, *protected))


def _prune(model, spec, protected=(), *, keep=0.7, importance="l2", scope="local", batches=(), least=8):
    network = _anatomy(model, spec, protected)
    ranking = Ranking(scope, network.structures())
    kept = allocate(
        network.scores(importance, cross_entropy, batches), keep, ranking, Widths(network.widths(), least=least)
    )
    return network.cut(kept), network.rows({root: len(channels) for root, channels in kept.items()})


def _batches(spec, count=2, size=8):
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(size, *spec.input_chw, generator=generator), torch.arange(size) % 3) for _ in range(count)]


def _outputs(model, spec):
    with torch.no_grad():
        return model(torch.randn(2, *spec.input_chw, generator=torch.Generator().manual_seed(3)))


@settings(max_examples=16, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arch=st.sampled_from(FAMILIES),
    keep=st.floats(0.05, 1.0),
    scope=st.sampled_from(SCOPES),
    importance=st.sampled_from(["l1", "l2", "bn_scale", "taylor", "fisher"]),
    least=st.sampled_from([8, 24]),
)
def test_any_cut_runs_fits_its_table_and_comes_back_bit_equal(lively, tmp_path, arch, keep, scope, importance, least):
    model, spec = lively(arch, 64)
    assume(importance != "bn_scale" or not arch.startswith("squeezenet"))
    options = {"keep": keep, "scope": scope, "importance": importance, "least": least}
    narrow, rows = _prune(model, spec, batches=_batches(spec, count=1, size=4), **options)
    stock, table = describe(model, spec), describe(narrow, spec)
    for before, after in zip(stock.layers, table.layers, strict=True):
        assert after.out_features == before.out_features or after.out_features % 8 == 0
        assert after.out_features >= least or after.out_features == before.out_features
    assert table.layers[0] == stock.layers[0]  # the stem
    assert all(row.after <= row.before for row in rows)
    made = {layer.name: layer.out_features for layer in table.layers}
    assert all(made[layer] == row.after for row in rows for layer in row.layers)
    assert made[arch_info(arch).head] == 3
    logits_NK = _outputs(narrow, spec)
    assert logits_NK.shape == (2, 3)
    save_model(tmp_path / "narrow.safetensors", narrow, spec)
    again, stored = load_model(tmp_path / "narrow.safetensors")
    assert torch.equal(_outputs(again, spec), logits_NK)
    assert stored == table


@pytest.mark.parametrize("arch", ARCH_NAMES)
def test_every_architecture_is_pruned(lively, arch):
    model, spec = lively(arch, 64)
    narrow, _ = _prune(model, spec)
    before, after = describe(model, spec), describe(narrow, spec)
    assert 0.4 < after.macs / before.macs < 0.75
    assert 0.4 < after.params / before.params < 0.6
    assert torch.isfinite(_outputs(narrow, spec)).all()


def test_keeping_all_changes_no_logit(lively):
    model, spec = lively("tf_mobilenetv3_small_100", 64)
    narrow, rows = _prune(model, spec, keep=1.0)
    assert torch.equal(_outputs(narrow, spec), _outputs(model, spec))
    assert all(row.after == row.before for row in rows)


@pytest.mark.parametrize("importance", ["l1", "l2", "bn_scale", "taylor", "fisher"])
def test_channels_that_do_nothing_go_first_and_cost_nothing(lively, importance):
    """A channel of zero gamma and beta is silent: taking exactly those out must not change the logits."""
    model, spec = lively("tiny", 64)
    model = copy.deepcopy(model)
    silent = torch.randperm(64, generator=torch.Generator().manual_seed(0))[:24]
    for name in ("blocks.1.0.bn1", "blocks.1.0.bn2"):
        norm = model.get_submodule(name)
        norm.weight.data[silent] = 0.0
        norm.bias.data[silent] = 0.0
    others = ("blocks.0*", "blocks.1.0.conv_pwl", "blocks.1.1*", "blocks.[2-4]*", "conv_head")
    narrow, rows = _prune(model, spec, others, keep=40 / 64, importance=importance, batches=_batches(spec))
    cut = [row for row in rows if row.after < row.before]
    assert [(row.layers, row.before, row.after) for row in cut] == [
        (("blocks.1.0.conv_pw", "blocks.1.0.conv_dw"), 64, 40)
    ]
    torch.testing.assert_close(_outputs(narrow, spec), _outputs(model, spec), atol=1e-4, rtol=1e-4)


def test_each_importance_is_its_own_measure(lively):
    model, spec = lively("mobilenet_v3_small", 64)
    network, batches = _anatomy(model, spec), _batches(spec, count=1)
    folded = fold_batch_norm(model, spec.input_chw)
    norms = norm_scores(folded, 1)
    expected = {
        "l1": (norms, True),
        "l2": (norm_scores(folded, 2), True),
        "bn_scale": (bn_scale_scores(model), True),
        "taylor": (taylor_scores(folded, cross_entropy, batches), False),
        "fisher": (fisher_scores(folded, cross_entropy, batches), False),
    }
    for importance, (layers, normalise) in expected.items():
        found = network.scores(importance, cross_entropy, batches)
        assert set(found) == set(network.widths())
        for group in network.free:
            own = group_scores(group, layers, normalise=normalise)
            if own is None:  # no batch norm behind squeeze widths
                own = group_scores(group, norms, normalise=True)
            torch.testing.assert_close(found[group.root], own, msg=f"{importance} {group.root}")


def test_squeeze_widths_fit_on_both_sides(lively):
    model, spec = lively("mobilenet_v3_small", 64)
    narrow, _ = _prune(model, spec, keep=0.5)
    for name, module in narrow.named_modules():
        if type(module).__name__ == "SqueezeExcitation":
            assert module.fc1.out_channels == module.fc2.in_channels, name
            assert module.fc1.in_channels == module.fc2.out_channels, name
    assert narrow.features[6].block[2].fc1.out_channels == 32  # of 64


def test_a_pruned_network_is_pruned_again(lively, tmp_path):
    model, spec = lively("mobilenet_v3_small", 64)
    once, _ = _prune(model, spec)
    save_model(tmp_path / "once.safetensors", once, spec)
    loaded, loaded_spec = load_model(tmp_path / "once.safetensors")
    twice, _ = _prune(loaded, loaded_spec)
    assert describe(twice, spec).macs < 0.8 * loaded_spec.macs
    save_model(tmp_path / "twice.safetensors", twice, loaded_spec)
    again, _ = load_model(tmp_path / "twice.safetensors")
    assert torch.equal(_outputs(again, spec), _outputs(twice, spec))


def test_protected_layers_keep_all_and_a_wrong_pattern_is_named(lively):
    model, spec = lively("tiny", 64)
    _, rows = _prune(model, spec, protected=("blocks.1*",))
    protected = [row for row in rows if row.protected]
    assert len(protected) == 1 + 3
    assert all(row.before == row.after for row in protected)
    with pytest.raises(UsageError, match=r"'block\.1\*' names no layer") as caught:
        _prune(model, spec, protected=("block.1*",))
    assert "blocks." in caught.value.hint


def test_bn_scale_without_batch_norm_is_refused(lively):
    model, spec = lively("squeezenet1_1", 64)
    with pytest.raises(StageError, match="needs batch norm"):
        _prune(model, spec, importance="bn_scale")


def test_the_input_is_left_alone(lively):
    model, spec = lively("mobilenet_v3_small", 64)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    _prune(model, spec, importance="bn_scale")
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arch=st.sampled_from(["tiny", "mobilenet_v3_small", "squeezenet1_1"]),
    keep=st.floats(0.3, 0.9),
    scope=st.sampled_from(SCOPES),
)
def test_the_onnx_of_a_pruned_network_agrees(lively, arch, keep, scope):
    model, spec = lively(arch, 64)
    narrow, _ = _prune(model, spec, keep=keep, scope=scope)
    proto = to_onnx(narrow, spec)
    images_NCHW = torch.randn(3, *spec.input_chw, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    found_NK = session.run(None, {"images": images_NCHW.numpy()})[0]
    with torch.no_grad():
        np.testing.assert_allclose(found_NK, narrow(images_NCHW).numpy(), atol=5e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) and module.training for module in narrow.modules())


def test_groups_built_alike_have_equal_structures_and_others_have_not(lively):
    model, spec = lively("mobilenet_v3_small", 64)
    network = _anatomy(model, spec)
    structures = network.structures()
    root_of = {layer: group.root for group in network.groups for layer in group.makes()}
    expanded = [root_of[f"features.{block}.block.0.0"] for block in (4, 5, 6)]  # 5x5 depthwise, squeeze block
    assert {network.widths()[root] for root in expanded} == {96, 240}
    assert len({structures[root] for root in expanded}) == 1
    assert structures[root_of["features.2.block.0.0"]] != structures[expanded[0]]  # 3x3, without a squeeze block
    assert set(structures) == set(network.widths())
    assert len(set(structures.values())) < len(structures)


def test_the_stem_is_not_free_and_costs_its_full_width(lively):
    model, spec = lively("tiny", 64)
    network = _anatomy(model, spec)
    assert "conv_stem" in {group.root for group in network.groups}
    assert "conv_stem" not in network.widths()
    assert [row.protected for row in network.rows({}) if row.root == "conv_stem"] == [True]


@pytest.mark.parametrize(("inputs", "outputs", "groups"), [(8, 8, 4), (4, 8, 4)])
def test_grouped_convolutions_are_refused_by_name(inputs, outputs, groups):
    net = nn.Sequential(nn.Conv2d(3, inputs, 1), nn.Conv2d(inputs, outputs, 1, groups=groups), nn.Conv2d(outputs, 2, 1))
    with pytest.raises(StageError, match=f"layer '1' is a convolution of {groups} groups"):
        PrunableNetwork(net, (3, 8, 8), heads=["2"])
