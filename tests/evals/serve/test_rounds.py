from __future__ import annotations

import pytest

from compress.errors import StageError
from evals.serve import rounds
from evals.serve.rounds import Setting, closed, measure_load, warm_up
from tests.evals.serve.tiny import SOURCE, tiny_setting, tiny_target


class HalfRight:
    """Stands for the model alone: every image is a hat."""

    def __init__(self, model):
        pass

    def label(self, body):
        return "hat"

    def cpu_ms(self, bodies):
        return 2.0


@pytest.mark.slow
def test_turns_go_round_and_one_that_fails_stops_nobody(tmp_path, monkeypatch):
    setting = tiny_setting(tmp_path, rounds=2, seconds=1, connections=2)
    broken = tiny_target("import sys\nsys.exit('cannot load')", name="broken", model=setting.onnx)
    targets = [tiny_target(name="one", model=setting.onnx), broken, tiny_target(name="two", model=setting.tflite)]
    monkeypatch.setattr(Setting, "all", lambda self: targets)
    monkeypatch.setattr(rounds, "Alone", HalfRight)
    said = []
    one, none, two = measure_load(setting, said.append).served
    assert [line.split(":")[1].strip() for line in said] == ["one", "broken", "two", "one", "two"]
    assert "cannot load" in none.failed
    assert none.turns == []
    for served in (one, two):
        assert served.same_label_pct == 50
        assert served.alone_ms == [2.0, 2.0]
        assert all(turn.per_s > 0 and turn.errors == 0 and turn.cpu_ms > 0 for turn in served.turns)
        assert len(served.turns) == 2


def test_without_wrk_the_own_client_asks(tmp_path, monkeypatch):
    monkeypatch.setattr(rounds, "has_wrk", lambda: False)
    setting, target = tiny_setting(tmp_path, seconds=1, connections=2), tiny_target()
    with target.start() as server:
        load = closed(setting, target, server)
    assert load.generator_cpu_pct > 0
    assert set(load.statuses) == {200}


def test_warming_up_asks_about_each_image(tmp_path):
    setting, target = tiny_setting(tmp_path), tiny_target()
    with target.start() as server:
        assert warm_up(setting, target, server) == ["hat", "shoe"]


def test_a_server_that_refuses_the_images_is_an_error(tmp_path):
    setting, target = tiny_setting(tmp_path), tiny_target(SOURCE.replace("self.answer(200, b", "self.answer(422, b"))
    with target.start() as server, pytest.raises(StageError, match="answered 422"):
        warm_up(setting, target, server)
