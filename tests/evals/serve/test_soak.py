"""The soak: what hostile clients send, and what is said of good ones beside them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from PIL import Image

from compress.benchmark.server_load import Load
from evals.results.schema import Block, Measured
from evals.sentences.serving import serving_sentences
from evals.serve.attackers import Attack, bombs
from evals.serve.soak import COLUMNS, _row
from tests.serve.abuse.real_server import running
from tests.serve.conftest import colours_onnx


def test_bombs_are_small_files_of_large_images(tmp_path: Path):
    for number, data in enumerate(bombs()):
        path = tmp_path / str(number)
        path.write_bytes(data)
        assert len(data) < 1_000_000
        with Image.open(path) as image:
            assert image.size[0] * image.size[1] >= 30_000_000


@pytest.mark.slow
def test_every_attack_is_carried_out_and_the_server_is_still_ready(tmp_path: Path):
    model = tmp_path / "model.onnx"
    model.write_bytes(colours_onnx())
    with running(model, tmp_path, "--memory-limit-mib", "512") as server:
        sent = Attack(server.address[1], 1.5).run()
        assert {"bombs", "pipelined", "dripped bytes", "unread pages"} <= set(sent)
        assert server.is_ready()
        assert server.stop() == 0


def block(p99_ms: float, lost: int) -> Block:
    def load(p99: float, lost: int) -> Load:
        return Load(100, 5, {200: 100 - lost, 503: lost}, 20, 20, 5.0, p99, None, 10)

    rows = (_row("alone", load(10, 0), 100.0), _row("beside attackers", load(p99_ms, lost), 300.0))
    measured = Measured(date=date(2026, 1, 1), commit="0", host={})
    return Block(key="attack", title="t", n={}, setting="s", measured=measured, columns=COLUMNS, rows=rows)


def test_a_goal_that_is_missed_is_said_to_be():
    (said,) = serving_sentences(block(29, 0))
    assert said == "Good clients lost 0 of 100 requests; their p99 is 2.9 times that of calm, within 3."
    (said,) = serving_sentences(block(310, 7))
    assert said.startswith(
        "Good clients lost 7 of 100 requests; their p99 is 31.0 times that of calm, the goal is missed"
    )
