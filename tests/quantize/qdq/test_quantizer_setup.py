import math

import pytest

from compress.errors import UsageError
from compress.quantize.ptq.rewrites import GATE_TOP, gate_hard_swish, relu6_for_hard_swish
from compress.quantize.qdq.quantizer_setup import (
    GATED,
    block_ends,
    matching_nodes,
    range_groups,
    swish_stem,
    with_activations,
)


def _by_tensor(model):
    return {name: group for group in range_groups(model) for name in group.tensors}


def test_a_tensor_before_its_own_relu_or_clip_has_no_range(float_model):
    groups = _by_tensor(float_model)
    assert "cd" not in groups
    assert "sum" not in groups
    assert {"rd", "clip", "images", "logits"} <= set(groups)


def test_pool_reshape_and_concat_share_a_range(float_model):
    groups = _by_tensor(float_model)
    assert groups["clip"] is groups["mp"]
    assert groups["ca"] is groups["cb"] is groups["cat"]
    assert groups["mean"] is groups["flat"]
    assert groups["cat"] is not groups["mean"]


def test_gates_are_fixed_and_never_shared_across_the_multiply(float_model):
    groups = _by_tensor(float_model)
    assert groups["sig"].unit
    assert not groups["se"].unit
    assert len({groups["sig"], groups["rd"], groups["se"]}) == 3


def test_curves_are_known_where_all_consumers_apply_them(float_model):
    groups = _by_tensor(float_model)
    assert groups["c0"].curve == "HardSwish"
    assert groups["cs"].curve == "HardSigmoid"
    assert groups["h0"].curve is None  # read by a convolution and the residual
    assert next(name for group in range_groups(float_model) for name in group.tensors) == "images"


def test_a_gated_hard_swish_keeps_its_curve_and_its_gate_a_limit(float_model):
    groups = _by_tensor(gate_hard_swish(float_model)[0])
    assert groups["c0"].curve == GATED
    assert groups["h0_gate"].most == pytest.approx(GATE_TOP)
    assert groups["clip"].most == math.inf  # the pool's output shares its range, and no Clip bounds that
    assert "h0_shifted" not in groups


def test_a_tensor_between_two_float_nodes_has_no_range(float_model):
    floats = with_activations(float_model, ["stem", "swish", "depthwise"])
    assert floats == {"stem", "swish", "depthwise", "relu"}
    tensors = {name for group in range_groups(float_model, floats) for name in group.tensors}
    assert "c0" not in tensors  # stem and swish
    assert {"h0", "rd"} <= tensors  # read by the residual and the gate, which stay int8
    assert "images" not in tensors  # read by float nodes alone


def test_blocks_end_where_no_activation_or_gate_follows(float_model):
    assert block_ends(float_model) == {"logits", "cat", "clip", "cp", "ca", "cb"}


def test_patterns_choose_nodes_by_name(float_model):
    assert matching_nodes(float_model, ["s*ish", "head"]) == ("swish", "head")
    with pytest.raises(UsageError, match="no layer of the model matches 'sten'") as error:
        matching_nodes(float_model, ["sten"])
    assert "stem" in error.value.hint


def test_the_stem_is_conv_and_hard_swish_and_a_depthwise_behind_that_alone_reads_them(float_model):
    assert swish_stem(float_model) == ("stem", "swish")  # the residual reads the hard-swish too
    float_model.graph.node[9].input[1] = "cp"
    assert swish_stem(float_model) == ("stem", "swish", "depthwise")


def test_a_stem_without_hard_swish_is_none(float_model):
    plain, _ = relu6_for_hard_swish(float_model, ["swish"])
    assert swish_stem(plain) == ()
