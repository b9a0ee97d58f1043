"""The table of operators and those who compute them say the same."""

from __future__ import annotations

import subprocess
import sys

from compress.graph.operators import CURVES, FUSED, INT8, ISLANDS, KEEPS_GRID, LOWERED, PASSING, QDQ, TRAINED, UNIT
from compress.graph.targets import TARGETS
from compress.lower.ops import HANDLERS
from compress.quantize.qdq.torch_ops import OPS


def test_torch_runs_what_the_table_says():
    assert set(OPS) == TRAINED


def test_the_lowering_writes_what_the_table_says():
    assert set(HANDLERS) == LOWERED | QDQ


def test_what_can_be_trained_can_be_lowered():
    """One importer: what quantize takes, export takes."""
    assert TRAINED == LOWERED


def test_operators_that_store_integers_pass_them_on():
    moved = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Slice", "DepthToSpace"}
    assert {"Relu", "Clip", *moved} == PASSING
    assert "MaxPool" in KEEPS_GRID & INT8
    assert not FUSED & KEEPS_GRID


def test_curves_and_bounded_outputs():
    assert {"HardSwish", "HardSigmoid"} == CURVES
    assert {"HardSigmoid", "Sigmoid", "Softmax"} == UNIT


def test_a_target_allows_the_islands_of_its_delegate():
    assert TARGETS["cpu-xnnpack"].float_ops == ISLANDS
    assert TARGETS["mcu"].float_ops == frozenset()


def test_the_light_modules_import_no_backend():
    code = (
        "import sys\n"
        "import compress.graph.operators, compress.graph.targets, compress.graph.interface\n"
        "print(*sorted({'onnx', 'torch', 'numpy', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
