from __future__ import annotations

import pytest

from compress.core.dataset import Task
from compress.tune.goal import Goal
from tests.tune.search_world import ARCHS, STAGE_S, World

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml


def test_each_architecture_is_tried_once_before_the_best_is_varied(world: World):
    world.search(1e9, trials=3)
    assert {one.arch for one in world.begun[:2]} == set(ARCHS)
    assert (world.begun[2].arch, world.begun[2].input_px) == ("tiny", 160)


def test_an_architecture_that_would_take_most_of_the_time_waits(world: World):
    world.step_s["tiny"] = 100.0  # 2 epochs of 5 steps: 1000 s, of the other 10 s
    world.search(1500.0, trials=3)
    assert {one.arch for one in world.begun} == {"squeezenet1_1"}


def test_no_setting_is_tried_twice(world: World):
    world.search(1e9, trials=12)
    assert len(world.ended) == 12 == len(set(world.ended))


def test_the_budget_is_overrun_by_one_stage_at_most(world: World):
    world.search(75.0)
    assert len(world.ended) > 0
    assert world.now <= 75.0 + STAGE_S


def test_what_cannot_end_in_time_is_not_begun(world: World):
    world.search(4.5 * STAGE_S)  # two chains, and too little for a third whose training is sealed
    assert len(world.begun) == len(world.ended) == 2


def test_time_counts_over_sessions(world: World):
    first = world.search(50.0)
    tried = len(first.tried())
    again = world.search(50.0)
    assert len(again.tried()) == tried
    assert again.spent_s() == pytest.approx(world.now)
    world.search(160.0)
    assert len(world.study().tried()) > tried


def test_a_killed_search_goes_on_with_the_setting_that_was_under_way(world: World):
    world.search(1e9, trials=2)
    world.kill_in = world.begun[0].model_copy(update={"input_px": 160})
    with pytest.raises(KeyboardInterrupt):
        world.search(1e9, trials=5)
    killed, ended = world.begun[-1], list(world.ended)
    assert killed == world.kill_in
    world.kill_in = None
    study = world.search(1e9, trials=5)
    assert world.begun[len(ended) + 1] == killed
    assert len(study.tried()) == 5
    assert world.ended[: len(ended)] == ended
    assert world.weighed == list(ARCHS)  # once for all sessions


def test_out_of_time_leaves_the_setting_to_be_gone_on_with(world: World):
    world.search(STAGE_S)
    assert (world.ended, world.stages) == ([], 1)
    world.search(1e9, trials=1)
    assert world.begun[0] == world.begun[1] == world.ended[0]


def test_an_architecture_that_cannot_be_small_enough_is_tried_where_none_can(world: World):
    study = world.search(1e9, trials=2, goal=Goal(max_size_bytes=1000))
    assert len(study.tried()) == 2
    assert {one.share for one in study.tried()} == {0.1}


def test_images_that_are_too_slow_are_not_tried(world: World):
    world.search(1e9, trials=8, goal=Goal(max_latency_ms=1.6))
    assert {one.input_px for one in world.begun} <= {96, 128, 160}


def test_detectors_are_searched_at_their_own_sides_by_their_map(world: World):
    world.task = "detect"
    study = world.search(1e9, trials=4)
    assert [one.input_px for one in world.begun] == [320, 320, 384, 448]
    assert world.begun[3].arch == "tiny"
    assert [one.point.map_pct for one in study.tried()] == [65.0, 60.0, 73.0, 81.0]


@pytest.mark.parametrize(("task", "best", "gain"), [("classify", 41.0, 4.0), ("detect", 65.0, 6.0)])
def test_a_chain_that_cannot_catch_up_is_given_up_after_its_float_network(world: World, task: Task, best, gain):
    world.task = task
    world.float_pct["squeezenet1_1"] = best - gain - 0.1
    study = world.search(1e9, trials=2)
    (given_up,) = study.dropped()
    assert (
        given_up.reason == f"train has {best - gain - 0.1:.2f} % on the validation images, the best file {best:.2f} %"
    )
    assert [one.point.accuracy_pct for one in study.tried()] == [best]


def test_a_chain_that_may_still_catch_up_is_ended(world: World):
    world.task = "detect"
    world.float_pct["squeezenet1_1"] = 59.1
    assert world.search(1e9, trials=2).dropped() == []
