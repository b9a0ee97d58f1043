from __future__ import annotations

import json

import pytest
from toy_runs import run

from compress.errors import GateError, StageError
from compress.pipeline.gates import check_gates, require_gates
from compress.recipe.schema import Gate

CHAIN = [{"kind": "train"}, {"kind": "prune"}, {"kind": "quantize"}, {"kind": "benchmark"}]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return a run whose benchmark gives top-1 90, 89, 88 to train, prune, quantize."""
    return run(CHAIN, tmp_path_factory.mktemp("gates"))


@pytest.mark.parametrize(
    ("gate", "value", "passed"),
    [
        (Gate(metric="top1_pct", at="prune", min=89.0), 89.0, True),
        (Gate(metric="top1_pct", at="prune", min=89.5), 89.0, False),
        (Gate(metric="top1_drop_pp", at="quantize", max=2.0), 2.0, True),
        (Gate(metric="top1_drop_pp", at="quantize", max=1.5), 2.0, False),
        (Gate(metric="top1_drop_pp", at="quantize", baseline="prune", max=1.5), 1.0, True),
        (Gate(metric="size_bytes", at="prune", max=64), 64.0, True),
        (Gate(metric="params", at="prune", max=10), 7.0, True),
        (Gate(metric="macs", at="prune", max=999), 1000.0, False),
        (Gate(metric="latency_p50_ms", at="prune", max=1.0), None, False),
    ],
)
def test_the_bound_and_the_number(done, gate, value, passed):
    [result] = check_gates([gate], done.lock, done.run_dir)
    limit = gate.max if gate.max is not None else gate.min
    assert result == {"metric": gate.metric, "at": gate.at, "limit": limit, "value": value, "passed": passed}


def test_without_a_benchmark_sizes_are_known_and_validation_accuracy_is_not_taken_for_test_accuracy(done):
    lock = done.lock.first(2)
    gates = [Gate(metric="macs", at="prune", min=1), Gate(metric="top1_pct", at="prune", min=1)]
    size, accuracy = check_gates(gates, lock, done.run_dir)
    assert (size["value"], size["passed"]) == (1000.0, True)
    assert (accuracy["value"], accuracy["passed"]) == (None, False)


def test_two_bounds_are_two_results(done):
    results = check_gates([Gate(metric="macs", at="prune", min=1, max=2)], done.lock, done.run_dir)
    assert [result["passed"] for result in results] == [True, False]


def test_broken_gates_raise_with_the_numbers(done):
    gates = [Gate(metric="top1_drop_pp", at="quantize", max=1.5), Gate(metric="latency_p50_ms", at="prune", max=1.0)]
    with pytest.raises(GateError) as error:
        require_gates(check_gates(gates, done.lock, done.run_dir))
    assert error.value.exit_code == 5
    assert error.value.message.splitlines() == [
        "gate broken: top1_drop_pp at quantize is 2, limit 1.5",
        "gate broken: latency_p50_ms at prune is not measured, limit 1",
    ]
    require_gates(check_gates([Gate(metric="macs", at="prune", max=1000)], done.lock, done.run_dir))


def test_a_benchmark_that_cannot_be_read(tmp_path):
    result = run(CHAIN, tmp_path)
    for text in ("[", json.dumps({"rows": [{}]}), "[]"):
        (result.run_dir / "04-benchmark" / "bench.json").write_text(text)
        with pytest.raises(StageError, match="not a benchmark's result"):
            check_gates([Gate(metric="macs", at="prune", max=1)], result.lock, result.run_dir)
