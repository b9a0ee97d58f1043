"""Limits on what may get worse, as text: `latency_p50_ms:+5%`, `top1_pct:-0.5`, `size_bytes:+0`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from compress.benchmark.metrics import METRICS
from compress.errors import UsageError

_AMOUNT = re.compile(r"([+-])(\d+(?:\.\d+)?)(%?)")
_EXAMPLES = "for example latency_p50_ms:+5%, top1_pct:-0.5 or size_bytes:+0"


@dataclass(frozen=True)
class Limit:
    """How much worse a number may get.

    Attributes:
        metric: a key of `METRICS`.
        amount: at least 0; in the metric's unit, or in percent of the old value.
        percent: which of the two.
        text: as it was given.
    """

    metric: str
    amount: float
    percent: bool
    text: str

    def allowed(self, old: float) -> float:
        """Return the worsening that is allowed from this old value, in the metric's unit."""
        return abs(old) * self.amount / 100 if self.percent else self.amount


def parse_limits(texts: Sequence[str]) -> tuple[Limit, ...]:
    """Return the limits by their texts METRIC:SIGN AMOUNT[%].

    Raises:
        UsageError: unknown metric, no number, a sign on the side where the metric gets better, or a metric twice.
    """
    limits = tuple(_parsed(text) for text in texts)
    metrics = [limit.metric for limit in limits]
    if twice := [metric for metric in METRICS if metrics.count(metric) > 1]:
        raise UsageError(f"--fail-on: {twice[0]} has two limits", hint="give each metric one limit")
    return limits


def _parsed(text: str) -> Limit:
    metric, _, amount = text.partition(":")
    if metric not in METRICS:
        near = difflib.get_close_matches(metric, METRICS, n=1, cutoff=0.5)
        raise UsageError(
            f"--fail-on {text}: unknown metric '{metric}'; allowed: {', '.join(METRICS)}",
            hint=f"did you mean '{near[0]}'?" if near else _EXAMPLES,
        )
    match = _AMOUNT.fullmatch(amount)
    if match is None:
        raise UsageError(
            f"--fail-on {text}: found '{amount}', allowed is a sign, a number and perhaps %", hint=_EXAMPLES
        )
    sign, number, percent = match.groups()
    worse = METRICS[metric].worse
    if sign != worse:
        side = "higher" if worse == "+" else "lower"
        raise UsageError(
            f"--fail-on {text}: {metric} is worse when it is {side}, so its limit begins with '{worse}'",
            hint=f"--fail-on {metric}:{worse}{number}{percent}",
        )
    return Limit(metric, float(number), percent == "%", f"{sign}{number}{percent}")
