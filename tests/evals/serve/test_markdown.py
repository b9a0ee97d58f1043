from __future__ import annotations

import pytest

from compress.benchmark.server_load import GAVE_UP, OK, SHED, Load
from evals.serve.calm import Large, Start, Steady
from evals.serve.endure import Restarts, Soak
from evals.serve.found import ServeResults, read_found, write_found
from evals.serve.markdown import BEGIN, END, calm_rows, load_rows, overload_rows, serve_markdown
from evals.serve.overload import Offered, OverloadFound
from evals.serve.rounds import LoadFound, Served, Turn

HOST = {"cpu": "Some CPU", "flags": ["avx2"], "cores": 2, "os": "Linux 6.1", "python": "3.11.2"}


def turns(*rates: float, cpu_ms: float = 4.0) -> list[Turn]:
    return [Turn(rate, 10.0, 20.0, cpu_ms, 1) for rate in rates]


@pytest.fixture
def found() -> ServeResults:
    served = [
        Served("imgc, onnx", True, turns=turns(200, 300, 260), alone_ms=[2.5, 2.5, 2.0], same_label_pct=100.0),
        Served("slow", False, turns=turns(50, 50, 50, cpu_ms=9), alone_ms=[2.5] * 3, same_label_pct=99.0),
        Served("fast", False, turns=turns(100, 100, 200, cpu_ms=5), alone_ms=[2.5] * 3, same_label_pct=100.0),
        Served("broken", False, failed="No module named 'broken'"),
    ]
    load = Load(1000, 10, {GAVE_UP: 10, OK: 490, SHED: 500}, 50, 45, 1.0, 300.0, 4.2)
    return ServeResults(
        host=HOST,
        baselines={"litserve": "0.2"},
        load=LoadFound("wrk", 16, 6, served),
        overload=OverloadFound(1000, 10, [Offered("imgc, onnx", 2, 100, 50, load)], {"broken": "no module"}),
        steady=[Steady("imgc, onnx", 50, 20, 20.4, 5.0, 9.0, 0, 2048)],
        large=[Large("imgc, onnx", 22.0, 20.0, 23.0, 0)],
        start=[Start("imgc, tflite", [0.9, 0.5, 0.6], 3 << 20, 0.5)],
        soak=Soak("imgc, tflite", 100_000, 100 << 20, 101 << 20, 0, 2, 60.0),
        restarts=Restarts("imgc, onnx", 200, 5000, 3, 4, 321.0, 90.0),
    )


def test_rows_of_the_closed_loop_compare_within_a_round_and_with_the_bound(found):
    ours, slow, fast, broken = load_rows(found.load)
    # the best baseline is "fast"; rounds 2.0, 3.0, 1.3 times as fast; bound 200 * 2.5 ms = 50 %, 75 %, 52 %
    assert ours == (
        "imgc, onnx", "260", "2.00 (1.30-3.00)", "10.0", "20.0", "4.00", "2.50", "1.50", "52", "100", "3",
    )  # fmt: skip
    assert slow[2] == "0.50 (0.25-0.50)"
    assert fast[2] == "1.00 (1.00-1.00)"
    assert broken[:3] == ("broken", "failed: No module named 'broken'", "-")
    assert len({len(row) for row in (ours, slow, fast, broken)}) == 1


def test_without_a_baseline_there_is_no_ratio(found):
    found.load.served[1:] = []
    assert load_rows(found.load)[0][2] == "-"


def test_rows_of_the_open_loop(found):
    assert overload_rows(found.overload) == [
        ("imgc, onnx", "2 x", "100", "45", "90", "300", "50.0", "4.2", "1.0"),
        ("broken", "no module", "-", "-", "-", "-", "-", "-", "-"),
    ]


def test_rows_at_ease_join_what_was_measured(found):
    assert calm_rows(found) == [
        ("imgc, onnx", "2 KiB", "20", "5.0", "9.0", "0", "22.0", "20.0", "-", "-", "-"),
        ("imgc, tflite", "-", "-", "-", "-", "-", "-", "-", "0.60", "3", "0.5"),
    ]


def test_the_block_has_every_part(found):
    text = serve_markdown(found)
    assert text.startswith(BEGIN)
    assert text.endswith(END)
    for words in (
        "core 0",
        "litserve 0.2",
        "Some CPU",
        "16 connections (wrk), 3 rounds of 6 s",
        "200 within 1000 ms",
        "50 requests/s for 20 s",
        "100000 requests, 0 lost, 2 not answered with 200; memory 100.0 MiB after 500 requests, 101.0 MiB at the end",
        "200 processes replaced in 321 s, 5000 requests, 3 lost, 4 not answered with 200",
    ):
        assert words in text


def test_parts_that_were_not_measured_are_left_out(found):
    text = serve_markdown(ServeResults(host=HOST, soak=found.soak))
    assert "Soak" in text
    assert "Closed loop" not in text
    assert "Restarts" not in text


def test_what_was_found_is_kept_as_json(found, tmp_path):
    path = tmp_path / "serve.json"
    assert read_found(path) == ServeResults()
    write_found(path, found)
    assert read_found(path) == found
    assert serve_markdown(read_found(path)) == serve_markdown(found)
