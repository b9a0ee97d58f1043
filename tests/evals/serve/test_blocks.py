"""What was found of the server, as blocks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from compress.benchmark.server_load import GAVE_UP, OK, SHED
from evals.results.markdown import block_table, block_text
from evals.sentences.serving import serving_sentences
from evals.serve.blocks import (
    BLOCKS,
    load_block,
    overload_block,
    restarts_block,
    setting_text,
    soak_block,
    start_block,
    steady_block,
)
from evals.serve.calm import Start, Steady
from evals.serve.endure import Restarts, Soak
from evals.serve.overload import Offered, OverloadFound
from evals.serve.rounds import LoadFound, Served, Turn
from evals.serve.targets import FASTAPI_LIMIT
from tests.evals.blocks import MEASURED

COMMON = setting_text({"litserve": "0.2"})


def turns(*rates: float, cpu_ms: float = 4.0) -> list[Turn]:
    return [Turn(rate, 10.0, 20.0, cpu_ms, 1) for rate in rates]


@pytest.fixture
def load() -> LoadFound:
    served = [
        Served("imgc, onnx", True, turns=turns(200, 300, 260), alone_ms=[2.5, 2.5, 2.0], same_label_pct=100.0),
        Served("slow", False, turns=turns(50, 50, 50, cpu_ms=9), alone_ms=[2.5] * 3, same_label_pct=99.0),
        Served("fast", False, turns=turns(100, 100, 200, cpu_ms=3), alone_ms=[2.5] * 3, same_label_pct=100.0),
        Served("broken", False, failed="No module named 'broken'"),
    ]
    return LoadFound("wrk", 16, 6, served)


def test_rows_of_the_closed_loop_compare_within_a_round_and_with_the_bound(load):
    block = load_block(load, COMMON, MEASURED)
    ours, slow, fast, broken = (line.strip("| ").split(" | ") for line in block_table(block).splitlines()[2:])
    # the best baseline is "fast"; rounds 2.0, 3.0, 1.3 times as fast; bound 200 * 2.5 ms = 50 %, 75 %, 52 %
    assert ours == [
        "imgc, onnx", "260", "2.00 (1.30-3.00)", "10.0", "20.0", "4.00", "2.50", "1.50", "52", "100", "3",
    ]  # fmt: skip
    assert slow[2] == "0.50 (0.25-0.50)"
    assert fast[2] == "1.00 (1.00-1.00)"
    assert broken[:3] == ["broken", "failed: No module named 'broken'", "-"]
    assert "rounds of 6 s by turns" in block_text(block)
    assert "16 connections (wrk)" in block_text(block)
    assert "litserve 0.2" in block_text(block)
    assert serving_sentences(block) == ['Where ours is behind. In "CPU ms/request": imgc, onnx 4.00 against fast 3.00.']


def test_without_a_baseline_there_is_no_ratio(load):
    load.served[1:] = []
    block = load_block(load, COMMON, MEASURED)
    assert block.rows[0]["of_best"] is None
    assert serving_sentences(block) == []


def test_rows_of_the_open_loop_are_compared_at_the_same_rate():
    shares = {GAVE_UP: 1.0, OK: 49.0, SHED: 50.0}
    load = SimpleNamespace(good_per_s=45, p99_ms=300.0, shed_p99_ms=4.2, share_pct=lambda status: shares.get(status, 0))
    offered = [Offered(name, times, 100, 50, load) for name in ("imgc, onnx", "other") for times in (1, 2)]
    block = overload_block(OverloadFound(1000, 10, offered, {"broken": "no module"}), COMMON, MEASURED)
    lines = block_table(block).splitlines()[2:]
    assert lines[1] == "| imgc, onnx | 2 x | 100 | 45 | 90 | 300 | 50.0 | 4.2 | 1.0 |"
    assert lines[-1] == "| broken | no module | - | - | - | - | - | - | - |"
    assert f"limit_concurrency of {FASTAPI_LIMIT}" in block.setting
    assert "200 within 1000 ms" in block.setting
    assert serving_sentences(block) == []
    rows = (*block.rows[:3], block.rows[3] | {"good_share_pct": 99.0})
    (text,) = serving_sentences(block.model_copy(update={"rows": rows}))
    assert text == 'Where ours is behind. In "of capacity %": imgc, onnx 2 x 90 against other 2 x 99.'


def test_steady_and_start():
    steady = steady_block([Steady("imgc, onnx", 50, 20, 20.4, 5.0, 9.0, 0, 2048)], COMMON, MEASURED)
    assert block_table(steady).splitlines()[-1] == "| imgc, onnx | 2 KiB | 20 | 5.0 | 9.0 | 0 |"
    assert "50 requests/s for 20 s" in steady.setting
    assert "no server started" in steady_block([], COMMON, MEASURED).setting
    start = start_block([Start("imgc, tflite", [0.9, 0.5, 0.6], 3 << 20, 0.5)], COMMON, MEASURED)
    assert block_table(start).splitlines()[-1] == "| imgc, tflite | 0.60 | 3 | 0.5 |"
    assert start.n == {"starts": 3}


def test_the_long_runs():
    soak = soak_block(Soak("imgc, tflite", 100_000, 100 << 20, 101 << 20, 0, 2, 60.0), COMMON, MEASURED)
    assert soak.n == {"requests": 100_000}
    assert block_table(soak).splitlines()[-1] == "| imgc, tflite | 0 | 2 | 100.0 | 101.0 | 60.0 |"
    restarts = restarts_block(Restarts("imgc, onnx", 200, 5000, 3, 4, 321.0, 90.0), COMMON, MEASURED)
    assert restarts.n == {"processes replaced": 200}
    assert block_table(restarts).splitlines()[-1] == "| imgc, onnx | 321 | 5000 | 3 | 4 | 90.0 |"


def test_baselines_that_are_not_installed_are_said():
    assert setting_text({}) == "baselines: not installed"
    assert list(BLOCKS) == ["load", "overload", "steady", "large", "start", "soak", "restarts"]
