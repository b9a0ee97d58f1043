"""Part `overload`: one, two and five times the requests that the server can answer, whether it can or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from compress.benchmark.server_load import GAVE_UP, LOST, SHED, Load, open_loop, run
from compress.benchmark.server_process import pinned
from compress.errors import StageError
from evals.serve.rounds import Setting, closed, warm_up
from evals.serve.targets import DEADLINE_MS, LOAD_CORES, Target, baselines

TIMES = (1, 2, 5)


@dataclass(frozen=True)
class Offered:
    """One rate of the open loop.

    Attributes:
        name: of the server.
        times: of its capacity.
        per_s: requests offered a second.
        capacity_per_s: what its closed loop answered a second, just before.
        load: what was found.
    """

    name: str
    times: int
    per_s: float
    capacity_per_s: float
    load: Load

    @property
    def good_share_pct(self) -> float:
        """Answers within the deadline, of the capacity."""
        return 100 * self.load.good_per_s / self.capacity_per_s

    @property
    def shed_pct(self) -> float:
        """Requests told 503."""
        return self.load.share_pct(SHED)

    @property
    def unanswered_pct(self) -> float:
        """Requests without an answer."""
        return self.load.share_pct(LOST) + self.load.share_pct(GAVE_UP)


@dataclass(frozen=True)
class OverloadFound:
    """What part `overload` found; `failed`: servers that did not start, and why."""

    deadline_ms: int
    seconds: float
    offered: list[Offered]
    failed: dict[str, str]


def measure_overload(setting: Setting, say: Callable[[str], None]) -> OverloadFound:
    """Offer each rate to ours, and to the baseline that anybody could write."""
    offered: list[Offered] = []
    failed: dict[str, str] = {}
    for target in [*setting.ours(), baselines(setting.onnx, setting.baselines)[0]]:
        try:
            offered += _offer(setting, target, say)
        except StageError as error:
            failed[target.name] = error.message
            say(f"overload: {target.name}: {error.message}")
    return OverloadFound(DEADLINE_MS, setting.open_s, offered, failed)


def _offer(setting: Setting, target: Target, say: Callable[[str], None]) -> list[Offered]:
    requests, found = setting.requests(target), []
    with target.start() as server:
        warm_up(setting, target, server)
        capacity = closed(setting, target, server).ok_per_s
        for times in TIMES:
            per_s = times * capacity
            with pinned(LOAD_CORES):
                work = open_loop(server.port, requests, per_s=per_s, seconds=setting.open_s, deadline_ms=DEADLINE_MS)
                found.append(Offered(target.name, times, per_s, capacity, run(work)))
            say(f"overload: {found[-1]}")
    return found
