from __future__ import annotations

import pytest

from compress.benchmark.server_load import GAVE_UP, LOST, OK, SHED, Load
from evals.serve import overload
from evals.serve.overload import Offered, measure_overload
from evals.serve.rounds import Setting
from tests.evals.serve.tiny import tiny_setting, tiny_target


def test_shares_are_of_the_capacity_and_of_what_was_sent():
    load = Load(1000, 10, {GAVE_UP: 20, LOST: 30, OK: 450, SHED: 500}, 45, 40, 1, 2, 3)
    offered = Offered("imgc", 2, 100, 50, load)
    assert offered.good_share_pct == 80
    assert offered.shed_pct == 50
    assert offered.unanswered_pct == 5


def test_each_rate_is_a_multiple_of_the_capacity_and_failures_are_kept(tmp_path, monkeypatch):
    broken = tiny_target("import sys\nsys.exit('no such module')", name="broken")
    monkeypatch.setattr(Setting, "ours", lambda self: [tiny_target()])
    monkeypatch.setattr(overload, "baselines", lambda model, environment: [broken])
    monkeypatch.setattr(overload, "closed", lambda setting, target, server: Load(40, 1, {OK: 40}, 40, 40, 1, 1))
    found = measure_overload(tiny_setting(tmp_path, open_s=0.5), lambda line: None)
    assert [(offered.name, offered.times, offered.per_s) for offered in found.offered] == [
        ("tiny", 1, 40),
        ("tiny", 2, 80),
        ("tiny", 5, 200),
    ]
    assert found.offered[2].load.sent == pytest.approx(100, rel=0.4)
    assert "no such module" in found.failed["broken"]
