"""`TuneReport`: what `tune.json` holds. Other programs read it; a field is added, never renamed or removed."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from compress.core.dataset import Task
from compress.tune.goal import Goal, TrialResult
from compress.tune.space import Knobs, Runtime


class TriedSetting(BaseModel):
    """A setting that was tried to the end.

    Attributes:
        knobs: the setting.
        share: of the parameters that it kept.
        point: what came of it, on the validation images.
        misses: bounds of the goal that it breaks, with what it has.
        pareto: whether no other beats it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    knobs: Knobs
    share: float
    point: TrialResult
    misses: dict[str, float]
    pareto: bool


class GivenUp(BaseModel):
    """A setting that was given up, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    knobs: Knobs
    reason: str


class WayOut(BaseModel):
    """A bound that would have to give: from `allowed` to `needed`, and the run that is then within the goal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: str
    allowed: float
    needed: float
    run: str


class FinalAccuracy(NamedTuple):
    """Top-1 or mAP of the chosen model: in percent, its 95 % interval, and that of its float network."""

    pct: float
    ci95_pct: tuple[float, float]
    float_pct: float


class Tested(BaseModel):
    """The chosen model on the test images, which nothing was chosen by.

    Attributes:
        n_images: test images.
        top1_pct: of the file; None of a detector's, likewise the next two.
        top1_ci95_pct: its 95 % Wilson interval.
        float_top1_pct: of its float network, before it was pruned.
        drop_pp: the difference.
        size_bytes: of the file.
        latency_ms: as the goal means it.
        map_pct: mAP of the file; None of a classifier's, likewise the next two.
        map_ci95_pct: its 95 % interval, by bootstrap over the images.
        float_map_pct: of its float network, before it was pruned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_images: int
    top1_pct: float | None = None
    top1_ci95_pct: tuple[float, float] | None = None
    float_top1_pct: float | None = None
    drop_pp: float
    size_bytes: int
    latency_ms: float
    map_pct: float | None = None
    map_ci95_pct: tuple[float, float] | None = None
    float_map_pct: float | None = None

    @property
    def accuracy(self) -> FinalAccuracy:
        """Return the figures of the one metric that the model has."""
        found = (self.map_pct, self.map_ci95_pct, self.float_map_pct)
        if self.map_pct is None:
            found = (self.top1_pct, self.top1_ci95_pct, self.float_top1_pct)
        pct, ci95_pct, float_pct = found
        assert pct is not None
        assert ci95_pct is not None
        assert float_pct is not None
        return FinalAccuracy(pct, ci95_pct, float_pct)


class TuneReport(BaseModel):
    """A search and what it ended with.

    Attributes:
        name: of the search.
        goal: what was wanted.
        runtime: what runs the file.
        device: name of the device that was searched for, None for this machine.
        estimated: whether latency is estimated from multiplications, not measured.
        host: the machine.
        spent_s: seconds that this machine searched, over all sessions.
        tried: every setting that was tried to the end.
        given_up: those that were not.
        chosen: run of the chosen model; None where none is within the goal.
        reason: why it was chosen, or what is nearest.
        ways_out: which single bound would have to give, where none is within the goal.
        run: name of the run that holds the chosen chain with its test; None without one.
        file: path of the chosen model; None without one.
        test: the chosen model on the test images.
        task: what the networks learned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: str
    goal: Goal
    runtime: Runtime
    device: str | None
    estimated: bool
    host: dict[str, object]
    spent_s: float
    tried: tuple[TriedSetting, ...]
    given_up: tuple[GivenUp, ...]
    chosen: str | None
    reason: str
    ways_out: tuple[WayOut, ...] = ()
    run: str | None = None
    file: str | None = None
    test: Tested | None = None
    task: Task = "classify"
