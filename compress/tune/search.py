"""The search: footprints first, then whole chains, the most promising setting next, until the budget is spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from compress.benchmark.row_accuracy import ACCURACY, AccuracyMetric
from compress.core.json_types import JsonObject
from compress.core.stage import Reporter
from compress.errors import ImgcError
from compress.pipeline.lock import RunLock
from compress.tune.footprint import LEAST_SHARE, Footprint, largest_px, largest_share
from compress.tune.goal import Goal, choose, leader, nearest
from compress.tune.space import Base, Knobs, neighbours, start
from compress.tune.stage_time import predicted_s, rest_s
from compress.tune.study import CompletedTrial, RunningTrial, Study
from compress.tune.task import TASKS, SearchTask
from compress.tune.trial import TrialContext, measure_footprint, try_out

_SUGGESTIONS = 30  # of Optuna, before the search gives up finding one that is new and fits into the time
_DEAR = 0.5  # of the budget: an architecture that is predicted to cost more waits until the best one was varied

Clock = Callable[[], float]


class Hopeless(Exception):  # noqa: N818 - no error: a setting that is given up
    """The chain cannot reach the best one any more."""


class TooSlow(Exception):  # noqa: N818 - no error either
    """The chain cannot end in time; its sealed stages stay for a later session."""


class OutOfTime(Exception):  # noqa: N818 - no error either
    """The budget is spent."""


@dataclass(frozen=True)
class SearchBudget:
    """How long to search.

    Attributes:
        seconds: of all sessions together; a stage under way is ended.
        trials: number of settings to try to the end or give up, None for any.
    """

    seconds: float
    trials: int | None = None


@dataclass
class SearchSession:
    """One session of a search; the study outlives it."""

    study: Study
    base: Base
    goal: Goal
    budget: SearchBudget
    archs: Sequence[str]
    context: TrialContext
    clock: Clock = time.monotonic
    _began: float = field(init=False, default=0.0)
    _footprints: dict[str, Footprint] = field(init=False, default_factory=dict)
    _too_slow: list[Knobs] = field(init=False, default_factory=list)

    @property
    def reporter(self) -> Reporter:
        """Return where progress is told."""
        return self.context.reporter

    @property
    def _task(self) -> SearchTask:
        return TASKS[self.base.task]

    @property
    def _metric(self) -> AccuracyMetric:
        return ACCURACY[self.base.task]

    def run(self) -> None:
        """Search until the budget is spent or nothing is left to try. What was found is in the study.

        A setting that was interrupted is gone on with first; its sealed stages are not made again.
        """
        self._began = self.clock()
        try:
            self._weigh()
            for one in self.study.resume():
                self._try(one)
            while not self._enough_trials() and (asked := self._next()) is not None:
                self._try(asked)
        except OutOfTime:
            self.reporter.info("the time is up; the setting under way goes on when the search is resumed")
        finally:
            self._account()

    def _weigh(self) -> None:
        """Measure each architecture untrained, once for all sessions."""
        for arch in self.archs:
            known = self.study.note(f"footprint:{arch}")
            if known is None:
                self._in_time()
                try:
                    found = measure_footprint(arch, self._task.start_px, self.base, self.context)
                except ImgcError as error:
                    self.reporter.warn(f"{arch}: left out: {error.message}")
                    continue
                known = self.study.note(f"footprint:{arch}", found.model_dump())
            self._footprints[arch] = Footprint.model_validate(known)
            self.reporter.info(f"{arch}: {self._prospects(arch)}")

    def _prospects(self, arch: str) -> str:
        share, px = self._share(arch), largest_px(self._footprints[arch], self.goal)
        if not self._is_possible(arch):
            return f"cannot reach the goal (share of parameters {share:.2f}, image of {px:.0f} px)"
        image = f", images up to {px:.0f} px" if px < max(self._task.sides_px) else ""
        return f"keeps {100 * share:.0f} % of its parameters{image}"

    def _share(self, arch: str) -> float:
        return largest_share(self._footprints[arch], self.goal)

    def _is_possible(self, arch: str) -> bool:
        largest = largest_px(self._footprints[arch], self.goal)
        return self._share(arch) >= LEAST_SHARE and largest >= min(self._task.sides_px)

    def _next(self) -> RunningTrial | None:
        """Return what to try next: each architecture once, then the neighbours of the best, then what Optuna says."""
        taken = self.study.taken()
        starts = self._starts()
        dear = [one for one in starts if self._predicted_s(one) > _DEAR * self.budget.seconds]
        cheap = [one for one in starts if one not in dear]
        for knobs in (*cheap, *self._around_the_best(), *dear):
            if knobs not in taken and self._is_worth(knobs):
                return self.study.ask(knobs)
        for _ in range(_SUGGESTIONS):
            asked = self.study.ask()
            if asked.knobs not in taken and self._is_worth(asked.knobs):
                return asked
            self.study.pass_over(asked)
        self.reporter.info("nothing is left to try that fits into the time")
        return None

    def _starts(self) -> list[Knobs]:
        """Return one setting for each architecture that may reach the goal (for each at all, where none may)."""
        known = list(self._footprints)
        archs = [arch for arch in known if self._is_possible(arch)] or known
        found = [start(arch, self._largest_side(arch), self.base.task) for arch in archs]
        return sorted(found, key=self._predicted_s)

    def _largest_side(self, arch: str) -> int:
        """Return the largest side that the goal allows, the smallest where it allows none."""
        sides_px, most = self._task.sides_px, largest_px(self._footprints[arch], self.goal)
        return max((px for px in sides_px if px <= most), default=min(sides_px))

    def _around_the_best(self) -> list[Knobs]:
        best = self._best()
        return neighbours(best.knobs, best.share, self.base.task) if best else []

    def _best(self) -> CompletedTrial | None:
        tried = self.study.tried()
        points = [one.point for one in tried]
        best = choose(points, self.goal) or nearest(points, self.goal)
        return next((one for one in tried if one.point == best), None)

    def _is_worth(self, knobs: Knobs) -> bool:
        """Return whether a setting may reach the goal and end in time."""
        if knobs.arch not in self._footprints or knobs in self._too_slow:
            return False
        feasible = not any(self._is_possible(arch) for arch in self._footprints) or (
            self._is_possible(knobs.arch) and knobs.input_px <= largest_px(self._footprints[knobs.arch], self.goal)
        )
        return feasible and self._predicted_s(knobs) <= self._left_s()

    def _step_s(self, knobs: Knobs) -> float:
        footprint = self._footprints[knobs.arch]
        return footprint.step_s * (knobs.input_px / footprint.input_px) ** 2

    def _predicted_s(self, knobs: Knobs) -> float:
        tried = [one for one in self.study.tried() if one.knobs.arch in self._footprints]
        alike = [(one, self._step_s(one.knobs)) for one in tried if one.knobs.arch == knobs.arch]
        others = [(one, self._step_s(one.knobs)) for one in tried if one.knobs.arch != knobs.arch]
        share = self._kept(knobs)
        return predicted_s(knobs, share, self.base, self._step_s(knobs), (*others, *alike), self._sealed(knobs))

    def _sealed(self, knobs: Knobs) -> set[str]:
        """Return the kinds of stages that another chain has made and this one will reuse."""
        trained = [
            one for one in self.study.tried() if (one.knobs.arch, one.knobs.input_px) == (knobs.arch, knobs.input_px)
        ]
        pruned = [one for one in trained if one.knobs.fill == knobs.fill]
        distilled = [one for one in pruned if one.knobs.patience == knobs.patience]
        found = {"train": trained, "prune": pruned, "distill": distilled}
        return {kind for kind, chains in found.items() if chains}

    def _kept(self, knobs: Knobs) -> float:
        """Return the share of the parameters that a setting keeps."""
        return min(1.0, max(LEAST_SHARE, self._share(knobs.arch) * knobs.fill))

    def _try(self, asked: RunningTrial) -> None:
        knobs = asked.knobs
        share = self._kept(knobs)
        self.reporter.info(f"trying {_said(knobs)}, {100 * share:.0f} % of the parameters")
        try:
            point, seconds = try_out(knobs, share, self.base, self.context, self._watch)
        except TooSlow as error:
            self.study.pass_over(asked)
            self._too_slow.append(knobs)
            self.reporter.info(f"put aside: {error}")
        except Hopeless as error:
            self.study.drop(asked, str(error))
            self.reporter.info(f"given up: {error}")
        except ImgcError as error:
            self.study.drop(asked, error.message, failed=True)
            self.reporter.warn(f"failed: {error.message}")
        else:
            self.study.finish(asked, share, point, seconds)
            accuracy = f"{self._metric.name} {point.accuracy_pct:.2f} %"
            self.reporter.info(f"validation {accuracy}, {point.size_bytes} bytes, {point.latency_ms:.2f} ms")

    def _watch(self, lock: RunLock) -> None:
        """Raise before a stage for which there is no time, or whose chain cannot win or end in time any more."""
        self._in_time()
        rest = rest_s({stage.kind: stage.seconds for stage in lock.stages}, self.study.tried())
        if rest > self._left_s():
            raise TooSlow(f"the rest of its chain will take about {rest:.0f} s, {self._left_s():.0f} s are left")
        best = leader([one.point for one in self.study.tried()], self.goal)
        if best is None:
            return
        for stage in lock.stages:
            found, gain = stage.artifact.metrics.get(self._metric.field), self._task.gains_pp.get(stage.id)
            if gain is not None and isinstance(found, int | float) and found + gain < best.accuracy_pct:
                raise Hopeless(
                    f"{stage.id} has {found:.2f} % on the validation images, the best file {best.accuracy_pct:.2f} %"
                )

    def _in_time(self) -> None:
        self._account()
        if self._left_s() <= 0:
            raise OutOfTime

    def _left_s(self) -> float:
        return self.budget.seconds - self.study.spent_s() - (self.clock() - self._began)

    def _account(self) -> None:
        """Bring the time that passed into the study, so that a killed session counts too."""
        now = self.clock()
        self.study.spent_s(now - self._began)
        self._began = now

    def _enough_trials(self) -> bool:
        done = len(self.study.tried()) + len(self.study.dropped())
        return self.budget.trials is not None and done >= self.budget.trials


def _said(knobs: Knobs) -> str:
    given: JsonObject = knobs.model_dump()
    extras = [f"{key} {given[key]}" for key in ("scheme", "hard_swish", "patience", "fill")]
    return f"{knobs.arch} at {knobs.input_px} px ({', '.join(extras)})"
