"""What is wanted of a model, which of the models found comes nearest, and which are the best trade-offs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from pydantic import BaseModel, ConfigDict, model_validator

from compress.core.dataset import Task
from compress.runtime.evaluate import Z95

_AS_FAST = 1.1  # times the fastest one's latency


class Goal(BaseModel):
    """Upper bounds; None bounds nothing.

    Attributes:
        max_size_bytes: of the file.
        max_latency_ms: median of one image on one thread.
        max_drop_pp: of top-1 or mAP against the same network in float before it was pruned, in percentage points.
        max_memory_bytes: for all tensors that live at once, see `compress.measure.arena`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_size_bytes: int | None = None
    max_latency_ms: float | None = None
    max_drop_pp: float | None = None
    max_memory_bytes: int | None = None


class TrialResult(BaseModel):
    """A model that was made, judged on the validation images: a classifier by its top-1, a detector by its mAP.

    Attributes:
        name: of its run.
        n_images: validation images.
        top1_pct: of the file that would be shipped; None of a detector's.
        drop_pp: top-1 or mAP of its float network less that.
        size_bytes: of the file.
        latency_ms: median of one image on one thread, measured here or estimated for the device.
        memory_bytes: of all tensors that live at once; None where it is not known.
        map_pct: mAP of the file that would be shipped; None of a classifier's.
        map_ci95_pct: its 95 % interval, by bootstrap over the images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    n_images: int
    top1_pct: float | None = None
    drop_pp: float
    size_bytes: int
    latency_ms: float
    memory_bytes: int | None = None
    map_pct: float | None = None
    map_ci95_pct: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _is_judged_by_one(self) -> TrialResult:
        if (self.top1_pct is None) == (self.map_pct is None) or (self.map_pct is None) != (self.map_ci95_pct is None):
            raise ValueError("either top1_pct, or map_pct with map_ci95_pct, is needed")
        return self

    @property
    def task(self) -> Task:
        """Return what the model does."""
        return "classify" if self.map_pct is None else "detect"

    @property
    def accuracy_pct(self) -> float:
        """Return top-1 or mAP."""
        found = self.top1_pct if self.map_pct is None else self.map_pct
        assert found is not None
        return found


@dataclass(frozen=True)
class Miss:
    """A bound that a model breaks.

    Attributes:
        limit: the bound's name in `Goal`.
        allowed: the bound.
        found: what the model has.
        excess: by how much more, as a share of the bound; of a drop, per point.
    """

    limit: str
    allowed: float
    found: float
    excess: float


def misses(point: TrialResult, goal: Goal) -> list[Miss]:
    """Return the bounds that a model breaks."""
    pairs = (
        ("max_size_bytes", goal.max_size_bytes, point.size_bytes),
        ("max_latency_ms", goal.max_latency_ms, point.latency_ms),
        ("max_memory_bytes", goal.max_memory_bytes, point.memory_bytes),
    )
    found = [
        Miss(limit, allowed, value, value / allowed - 1)
        for limit, allowed, value in pairs
        if allowed is not None and value is not None and value > allowed
    ]
    if goal.max_drop_pp is not None and point.drop_pp > goal.max_drop_pp:
        found.append(Miss("max_drop_pp", goal.max_drop_pp, point.drop_pp, point.drop_pp - goal.max_drop_pp))
    return found


def leader(points: Sequence[TrialResult], goal: Goal) -> TrialResult | None:
    """Return the most accurate model within the goal; of equals the smaller, None if none is."""
    return max((point for point in points if not misses(point, goal)), key=_merit, default=None)


def close(points: Sequence[TrialResult], goal: Goal) -> list[TrialResult]:
    """Return the models within the goal that are within one standard error of the leader's accuracy, it among them."""
    first = leader(points, goal)
    if first is None:
        return []
    least = first.accuracy_pct - standard_error_pp(first)
    return [point for point in points if not misses(point, goal) and point.accuracy_pct >= least]


def choose(points: Sequence[TrialResult], goal: Goal) -> TrialResult | None:
    """Return the best of the fastest models that are as good as the leader, as far as the images can tell.

    The greatest of many accuracies is partly luck, so that what is much faster and hardly worse is the better choice:
    the one-standard-error rule (Breiman et al. 1984, section 3.4.3). Models within 10 % of the fastest count as
    equally fast. None if none is within the goal.
    """
    near = close(points, goal)
    if not near:
        return None
    fastest_ms = min(point.latency_ms for point in near)
    return max((point for point in near if point.latency_ms <= _AS_FAST * fastest_ms), key=_merit)


def standard_error_pp(point: TrialResult) -> float:
    """Return the standard error of a model's accuracy in percentage points.

    Top-1 is a binomial share; of a mAP it is told by the bootstrap's interval.
    """
    if point.map_ci95_pct is not None:
        low, high = point.map_ci95_pct
        return (high - low) / (2 * Z95)
    share = point.accuracy_pct / 100
    return 100 * sqrt(share * (1 - share) / point.n_images)


def _merit(point: TrialResult) -> tuple[float, int, float]:
    return point.accuracy_pct, -point.size_bytes, -point.latency_ms


def nearest(points: Sequence[TrialResult], goal: Goal) -> TrialResult | None:
    """Return the model that breaks the goal least, summed over its bounds; of equals the more accurate one."""
    return min(
        points,
        key=lambda one: (sum(miss.excess for miss in misses(one, goal)), -one.accuracy_pct),
        default=None,
    )


def ways_out(points: Sequence[TrialResult], goal: Goal) -> list[tuple[Miss, TrialResult]]:
    """Return for each bound, where that is enough, the model that needs least of it to give while the others hold."""
    found = []
    for limit, allowed in goal.model_dump().items():
        if allowed is None:
            continue
        rest = [one for one in points if not misses(one, goal.model_copy(update={limit: None}))]
        broken = [(miss, one) for one in rest for miss in misses(one, goal) if miss.limit == limit]
        if broken:
            found.append(min(broken, key=lambda pair: (pair[0].excess, -pair[1].accuracy_pct)))
    return found


def pareto(points: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the models that no other beats: as good in accuracy, size and latency, and better in one of them."""
    return [one for one in points if not any(_beats(other, one) for other in points)]


def _beats(other: TrialResult, one: TrialResult) -> bool:
    mine = (-one.accuracy_pct, one.size_bytes, one.latency_ms)
    theirs = (-other.accuracy_pct, other.size_bytes, other.latency_ms)
    return theirs != mine and all(their <= my for their, my in zip(theirs, mine, strict=True))
