"""The greatest rate that a server stands, found by asking: double until it fails, then bisect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

from compress.benchmark.scenario_schema import LimitedBy, Verdict

TOLERANCE = 0.05
MAX_PROBES = 20
_FACTOR = 2.0
_LEAST_PER_S = 0.5


@dataclass(frozen=True)
class Peak:
    """What the search found.

    Attributes:
        per_s: the greatest rate that held; None where none did.
        limited_by: what the failure just above was: "server" did not hold, "generator" was late; "time": there is none,
            the probes were used up before.
    """

    per_s: float | None
    limited_by: LimitedBy


def find_peak(probe: Callable[[float], Verdict], start_per_s: float, *, max_probes: int = MAX_PROBES) -> Peak:
    """Return the greatest rate that holds, within `TOLERANCE` below the least one that does not.

    Args:
        probe: rate per second -> whether it held. A rate that did not is offered once more: a single stall of the
            machine shall not hide what the server stands.
        start_per_s: a first guess; any positive one will do.
        max_probes: the second offers count too.
    """
    held: float | None = None
    failed: float | None = None
    failure: Verdict = "missed"
    doubted: set[float] = set()
    per_s = max(start_per_s, _LEAST_PER_S)
    for _ in range(max_probes):
        verdict = probe(per_s)
        if verdict == "held":
            held = per_s
        elif per_s in doubted:
            failed, failure = per_s, verdict
        else:
            doubted.add(per_s)
            continue
        if _ended(held, failed):
            return Peak(held, "generator" if failure == "void" else "server")
        per_s = _next(held, failed)
    return Peak(held, "time")


def _ended(held: float | None, failed: float | None) -> bool:
    if failed is None:
        return False
    return failed <= _LEAST_PER_S if held is None else failed <= held * (1 + TOLERANCE)


def _next(held: float | None, failed: float | None) -> float:
    """Return the rate to ask next: above all that held, below all that failed."""
    if held and failed:
        return sqrt(held * failed)
    return held * _FACTOR if held else max(_LEAST_PER_S, (failed or 0.0) / _FACTOR)
