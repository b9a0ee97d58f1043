"""A search whose chains take no time: a fake clock, and points computed from the knobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compress.benchmark.row_accuracy import ACCURACY
from compress.core.dataset import Task
from compress.core.stage import SilentReporter
from compress.tune import search as search_module
from compress.tune.footprint import Footprint
from compress.tune.goal import Goal, TrialResult
from compress.tune.search import SearchBudget, SearchSession
from compress.tune.space import Base, Knobs
from compress.tune.study import Study, open_study
from compress.tune.trial import TrialContext

ARCHS = ("tiny", "squeezenet1_1")
STAGE_S = 10.0  # a chain is two stages


@dataclass
class World:
    """What happened, and when."""

    root: Path
    now: float = 0.0
    begun: list[Knobs] = field(default_factory=list)
    ended: list[Knobs] = field(default_factory=list)
    stages: int = 0
    weighed: list[str] = field(default_factory=list)
    kill_in: Knobs | None = None
    step_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(ARCHS, 1.0))
    task: Task = "classify"
    float_pct: dict[str, float] = field(default_factory=dict)  # of the float network, where a test wants it known

    def footprint(self, arch: str, px: int, base: Base, context: TrialContext) -> Footprint:
        self.weighed.append(arch)
        return Footprint(
            input_px=px,
            params=1_000_000,
            left_params=500_000,
            size_bytes=550_000,
            latency_ms=1.0,
            memory_bytes=None,
            step_s=self.step_s[arch],
        )

    def try_out(
        self, knobs: Knobs, share: float, base: Base, context: TrialContext, watch: Callable[[Any], None]
    ) -> tuple[TrialResult, dict[str, float]]:
        self.begun.append(knobs)
        for stage in range(2):
            watch(self.lock(knobs.arch) if stage else NoStages())
            self.now += STAGE_S
            self.stages += 1
            if knobs == self.kill_in:
                raise KeyboardInterrupt
        self.ended.append(knobs)
        accuracy = 20 + knobs.input_px / 8 + (5 if knobs.arch == "tiny" else 0)
        judged: dict[str, Any] = {ACCURACY[self.task].field: accuracy}
        if self.task == "detect":
            judged["map_ci95_pct"] = (accuracy - 8, accuracy + 8)
        point = TrialResult(
            name=f"{knobs.arch}-{len(self.ended)}",
            n_images=100,
            drop_pp=1.0,
            size_bytes=int(1_000_000 * share),
            latency_ms=knobs.input_px / 100,
            **judged,
        )
        return point, {"train": STAGE_S, "quantize": STAGE_S}

    def lock(self, arch: str) -> Any:
        """Return what is sealed after the first stage: the float network, where its accuracy is known."""
        if arch not in self.float_pct:
            return NoStages()
        metrics = {ACCURACY[self.task].field: self.float_pct[arch]}
        train = {"id": "train", "kind": "train", "seconds": STAGE_S, "artifact": SimpleNamespace(metrics=metrics)}
        return SimpleNamespace(stages=(SimpleNamespace(**train),))

    def study(self) -> Study:
        return open_study(f"sqlite:///{self.root / 'study.db'}", "s", "me", ARCHS, 0, {"seed": 0}, self.task)

    def search(self, seconds: float, trials: int | None = None, goal: Goal | None = None) -> Study:
        base = Base({}, dict.fromkeys(ARCHS, "none"), "tflite", None, 0, 2, 5, self.task)
        context = TrialContext(self.root, "s", "cpu", None, SilentReporter())
        study = self.study()
        SearchSession(
            study, base, goal or Goal(), SearchBudget(seconds, trials), ARCHS, context, lambda: self.now
        ).run()
        return study


class NoStages:
    """A lock in which nothing is sealed."""

    stages = ()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return the world that the search now lives in."""
    made = World(tmp_path)
    monkeypatch.setattr(search_module, "try_out", made.try_out)
    monkeypatch.setattr(search_module, "measure_footprint", made.footprint)
    return made
