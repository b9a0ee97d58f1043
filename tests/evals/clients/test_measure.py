from __future__ import annotations

from datetime import date

import pytest

from evals.clients.clients import Client
from evals.clients.measure import COLUMNS, row
from evals.clients.tools import Reply
from evals.results.schema import Block, Measured
from evals.sentences.clients import REQUESTS, clients_sentences
from tests.serve.conftest import colours_onnx


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(colours_onnx())
    return path


@pytest.mark.parametrize(("label", "right"), [("red", 2), ("blue", 1)])
def test_a_row_counts_the_replies_that_are_right(model, label, right):
    asked = []

    def post(url, image):
        asked.append((url, image))
        return [Reply("raw", 200, "red"), Reply("raw", 500, "red"), Reply("form", 200, "-")]

    made = row(Client("tool", "sh", ("echo", "tool version 1.2.3"), post), model, model, label)
    assert made == {
        "client": "tool",
        "version": "1.2.3",
        "requests": "raw, form",
        "replies": 3,
        "ok": right,
        "connections": 0,
    }
    assert asked[0][0].endswith("/v1/classify")


def test_the_verdict_names_the_clients_that_were_wrong():
    rows = ({"client": "a", "replies": 4, "ok": 4}, {"client": "b", "replies": 2, "ok": 1})
    measured = Measured(date=date(2026, 1, 1), commit="abc", host={})
    block = Block(key=REQUESTS, title="t", n={"x": 1}, setting="s", measured=measured, columns=COLUMNS, rows=rows)
    assert clients_sentences(block) == ["5 of 6 replies have status 200 and the right label, not of b."]


def test_what_is_not_installed_is_named():
    assert Client("a", "no-such-program", ("no-such-program",), lambda *_: []).missing() == "no-such-program"
    assert Client("b", "sh", ("true",), lambda *_: []).missing() == ""
