from compress.quantize.points import range_groups


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
