from __future__ import annotations

import pytest
from pydantic import ValidationError

from compress.tune.goal import (
    Goal,
    TrialResult,
    choose,
    leader,
    misses,
    nearest,
    pareto,
    standard_error_pp,
    ways_out,
)


def point(name: str, top1: float, size: int = 1000, ms: float = 1.0, drop: float = 0.0) -> TrialResult:
    return TrialResult(name=name, n_images=100, top1_pct=top1, drop_pp=drop, size_bytes=size, latency_ms=ms)


def detector(name: str, found: float, ms: float = 1.0, half: float = 1.96) -> TrialResult:
    """Return a detector whose mAP is known to `half` points, 95 %."""
    judged = {"map_pct": found, "map_ci95_pct": (found - half, found + half), "drop_pp": 0.0}
    return TrialResult(name=name, n_images=100, size_bytes=1000, latency_ms=ms, **judged)


def test_the_best_within_the_goal_is_chosen_not_the_best_of_all():
    points = [point("big", 95, size=2000), point("fits", 90), point("worse", 80)]
    assert choose(points, Goal(max_size_bytes=1000)) == points[1]
    assert choose(points, Goal()) == points[0]
    assert choose(points, Goal(max_size_bytes=999)) is None
    assert choose([], Goal()) is None
    assert leader([], Goal()) is None


def test_of_equals_the_smaller_then_the_faster_is_chosen():
    points = [point("a", 90, 900, 2.0), point("b", 90, 800, 3.0), point("c", 90, 800, 1.0)]
    assert choose(points, Goal()) == points[2]


def test_what_is_much_faster_and_no_worse_than_one_standard_error_is_chosen():
    lucky, fast, worse = point("lucky", 90, ms=3.0), point("fast", 87.1, ms=1.0), point("worse", 86.9, ms=0.5)
    assert leader([lucky, fast, worse], Goal()) == lucky
    assert choose([lucky, fast, worse], Goal()) == fast  # sqrt(0.9 * 0.1 / 100) is 3 points
    many = [one.model_copy(update={"n_images": 10_000}) for one in (lucky, fast, worse)]
    assert choose(many, Goal()) == many[0], "with many images the difference is no luck"


def test_what_is_hardly_faster_is_not_chosen_for_it():
    points = [point("better", 90, ms=1.05), point("faster", 89, ms=1.0), point("slow", 91, ms=1.2)]
    assert choose(points, Goal()) == points[0]
    assert choose(points, Goal(max_latency_ms=1.01)) == points[1]


def test_a_bound_is_broken_by_more_not_by_as_much():
    goal = Goal(max_size_bytes=1000, max_latency_ms=1.0, max_drop_pp=1.0, max_memory_bytes=5)
    assert misses(point("a", 90, 1000, 1.0, 1.0), goal) == []
    found = misses(point("a", 90, 1500, 2.0, 3.0).model_copy(update={"memory_bytes": 10}), goal)
    assert {one.limit: one.excess for one in found} == {
        "max_size_bytes": 0.5,
        "max_latency_ms": 1.0,
        "max_memory_bytes": 1.0,
        "max_drop_pp": 2.0,
    }


def test_the_nearest_breaks_least_in_sum():
    goal = Goal(max_size_bytes=1000, max_latency_ms=1.0)
    points = [point("both", 99, 1200, 1.2), point("one", 80, 1300, 1.0), point("far", 99, 9000, 1.0)]
    assert nearest(points, goal) == points[1]
    assert nearest([], goal) is None


def test_a_way_out_lets_one_bound_give_while_the_others_hold():
    goal = Goal(max_size_bytes=1000, max_latency_ms=1.0)
    points = [point("larger", 90, 1300, 1.0), point("much larger", 95, 5000, 1.0), point("both", 99, 1100, 1.1)]
    found = ways_out(points, goal)
    assert [(miss.limit, miss.found, one.name) for miss, one in found] == [("max_size_bytes", 1300, "larger")]


def test_the_front_is_what_no_other_beats():
    points = [point("a", 90, 900, 1.0), point("b", 90, 900, 2.0), point("c", 80, 800, 5.0), point("d", 90, 900, 1.0)]
    assert pareto(points) == [points[0], points[2], points[3]]


def test_a_detectors_error_is_that_of_its_bootstrap_whatever_the_number_of_images():
    assert standard_error_pp(detector("a", 60.0)) == pytest.approx(1.0, rel=1e-3)
    assert standard_error_pp(detector("a", 60.0, half=3.92)) == pytest.approx(2.0, rel=1e-3)
    assert standard_error_pp(point("a", 90.0)) == pytest.approx(3.0)


def test_detectors_are_chosen_by_their_map():
    lucky, fast, worse = (
        detector("lucky", 60.0, ms=3.0),
        detector("fast", 59.1, ms=1.0),
        detector("worse", 58.9, ms=0.5),
    )
    assert leader([fast, lucky, worse], Goal()) == lucky
    assert choose([fast, lucky, worse], Goal()) == fast
    assert nearest([worse, fast], Goal()) == fast
    assert pareto([lucky, fast, worse, detector("beaten", 58.0, ms=0.6)]) == [lucky, fast, worse]
    assert (fast.task, fast.accuracy_pct, point("a", 90).task) == ("detect", 59.1, "classify")


@pytest.mark.parametrize(
    "judged",
    [{}, {"top1_pct": 1.0, "map_pct": 1.0, "map_ci95_pct": (0.0, 2.0)}, {"map_pct": 1.0}, {"map_ci95_pct": (0.0, 2.0)}],
)
def test_a_point_has_one_accuracy(judged):
    with pytest.raises(ValidationError, match="is needed"):
        TrialResult(name="a", n_images=1, drop_pp=0.0, size_bytes=1, latency_ms=1.0, **judged)


def test_a_classifiers_point_is_read_as_earlier_versions_wrote_it():
    old = {"name": "a", "n_images": 9, "top1_pct": 90.0, "drop_pp": 0.5, "size_bytes": 10, "latency_ms": 1.0}
    assert TrialResult.model_validate({**old, "memory_bytes": None}).model_dump(exclude_none=True) == old
