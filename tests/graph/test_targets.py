from compress.core.formats import Format
from compress.graph.targets import TARGET_NAMES, TARGETS


def test_every_name_has_a_profile():
    assert tuple(TARGETS) == TARGET_NAMES


def test_activation_types_and_strictness():
    assert {name for name, target in TARGETS.items() if target.activation == "uint8"} == {"ort-x86"}
    assert {name for name, target in TARGETS.items() if target.integer_ends} == {"mcu"}
    assert TARGETS["mcu"].float_ops == frozenset()
    assert TARGETS["ort-x86"].float_ops is None
    assert TARGETS["cpu-xnnpack"].hard_swish == "float"
    assert TARGETS["mcu"].hard_swish == TARGETS["ort-x86"].hard_swish == "gate"
    assert {name for name, target in TARGETS.items() if target.runs is Format.TFLITE} == {"cpu-xnnpack", "mcu"}
