"""The study in SQL: kept over sessions, refused with other settings, and free of passwords in its messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from compress.errors import UsageError
from compress.tune.goal import TrialResult
from compress.tune.space import Knobs
from compress.tune.study import Study, open_study
from compress.tune.task import TASKS

KNOBS = Knobs(arch="tiny", input_px=96)
POINT = TrialResult(name="x", n_images=10, top1_pct=90.0, drop_pp=0.5, size_bytes=1000, latency_ms=1.0)


def open_one(tmp_path: Path, owner: str = "me", **settings: object) -> Study:
    return open_study(f"sqlite:///{tmp_path / 's.db'}", "s", owner, ("tiny", "squeezenet1_1"), 0, settings)


def test_what_was_tried_is_there_in_the_next_session(tmp_path):
    first = open_one(tmp_path)
    first.finish(first.ask(KNOBS), 0.5, POINT, {"train": 3.0})
    first.drop(first.ask(KNOBS.model_copy(update={"input_px": 128})), "hopeless")
    again = open_one(tmp_path)
    (tried,) = again.tried()
    assert (tried.knobs, tried.share, tried.point, tried.seconds) == (KNOBS, 0.5, POINT, {"train": 3.0})
    assert [(one.knobs.input_px, one.reason) for one in again.dropped()] == [(128, "hopeless")]
    assert {one.input_px for one in again.taken()} == {96, 128}


def test_only_an_owners_own_trials_are_gone_on_with(tmp_path):
    open_one(tmp_path, owner="other").ask(KNOBS)
    mine = open_one(tmp_path)
    mine.ask(KNOBS.model_copy(update={"input_px": 160}))
    assert [one.knobs.input_px for one in open_one(tmp_path).resume()] == [160]
    (again,) = open_one(tmp_path).resume()  # what was gone on with and interrupted again
    again.trial.set_user_attr("note", "that it can be written to")
    open_one(tmp_path).finish(again, 0.5, POINT, {})
    assert open_one(tmp_path).resume() == []
    assert KNOBS in open_one(tmp_path).taken(), "the other is still at it"


def test_a_session_killed_while_it_takes_up_the_old_trials_loses_none(tmp_path, monkeypatch):
    for px in (128, 160):
        open_one(tmp_path).ask(KNOBS.model_copy(update={"input_px": px}))
    killed = open_one(tmp_path)

    def die(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(killed._study, "tell", die)
    with pytest.raises(KeyboardInterrupt):
        killed.resume()
    assert sorted(one.knobs.input_px for one in open_one(tmp_path).resume()) == [128, 160]


def test_a_suggestion_that_is_passed_over_is_not_taken(tmp_path):
    one = open_one(tmp_path)
    one.pass_over(one.ask())
    assert one.taken() == one.tried() == one.dropped() == []


def test_hard_swish_is_no_knob_of_networks_without_it(tmp_path):
    one = open_one(tmp_path)
    assert one.ask(KNOBS.model_copy(update={"hard_swish": "gate"})).knobs.hard_swish == "float"


def test_what_a_detectors_study_suggests_are_sides_for_detectors(tmp_path):
    study = open_study(f"sqlite:///{tmp_path / 's.db'}", "s", "me", ("ssdlite_mobilenetv2",), 0, {}, "detect")
    assert {study.ask().knobs.input_px for _ in range(5)} <= set(TASKS["detect"].sides_px)
    judged = {"map_pct": 55.0, "map_ci95_pct": (50.0, 60.0), "drop_pp": 0.5}
    point = TrialResult(name="x", n_images=10, size_bytes=1000, latency_ms=1.0, **judged)
    study.finish(study.ask(Knobs(arch="ssdlite_mobilenetv2", input_px=448)), 0.5, point, {})
    assert [one.point for one in study.tried()] == [point]
    assert study._study.metric_names == ["map_pct", "size_bytes", "latency_ms"]
    assert study._study.trials[-1].values == [55.0, 1000.0, 1.0]


def test_time_is_each_owners(tmp_path):
    open_one(tmp_path).spent_s(5.0)
    assert open_one(tmp_path).spent_s(2.0) == 7.0
    assert open_one(tmp_path, owner="other").spent_s() == 0.0


def test_other_settings_are_refused_with_both_values(tmp_path):
    open_one(tmp_path, seed=0, data="a")
    with pytest.raises(UsageError, match="begun otherwise: data was a, is b"):
        open_one(tmp_path, seed=0, data="b")


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////no/such/folder/s.db", "nosql://user:secret@host/db"])
def test_a_storage_that_cannot_be_opened_is_told_without_its_password(url):
    with pytest.raises(UsageError, match="--storage") as caught:
        open_study(url, "s", "me", ("tiny",), 0, {})
    assert "secret" not in caught.value.message
