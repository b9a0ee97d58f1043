from __future__ import annotations

from compress.graph.targets import TARGETS
from compress.quantize.ptq.rewrites import relu6_for_hard_swish
from compress.quantize.stage_plan import Mode, modes_of


def test_every_way_to_compute_stem_and_hard_swish_is_a_candidate(float_model):
    assert [mode for _, mode in modes_of(float_model, TARGETS["cpu-xnnpack"])] == [
        Mode("float", "float"),
        Mode("gate", "float"),
        Mode("gate", "int8"),
        Mode("relu6", "int8"),
        Mode("relu6_early", "int8"),
    ]


def test_strict_integers_have_no_float_island(float_model):
    modes = [mode for _, mode in modes_of(float_model, TARGETS["mcu"])]
    assert modes[0] == Mode("gate", "int8")
    assert all(mode.stem == "int8" and mode.hard_swish != "float" for mode in modes)


def test_a_network_without_hard_swish_has_one_way(float_model):
    plain, _ = relu6_for_hard_swish(float_model, ["swish"])
    assert modes_of(plain, TARGETS["ort-x86"]) == [("int8", Mode("gate", "float"))]
