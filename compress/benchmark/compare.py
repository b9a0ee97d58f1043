"""Two measurements side by side: what got worse, and whether that is more than noise.

The rule. Each number has a 95 % interval where one is known. The change counts from the ends that lie nearest to each
other: the old value at its worse end, the new one at its better end. A limit is broken only when even that change is
beyond it; so noise alone breaks a limit seldom, and a real fault of about the width of the intervals may pass. Accuracy
on the same images is compared image by image where the answers are known. Without intervals the plain figures
decide, and the reason says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Literal

from compress.benchmark.limits import Limit
from compress.benchmark.metrics import METRICS, Interval, interval_of, paired_interval_pp
from compress.benchmark.schema import Answers, Bench, Row
from compress.core.fact import Fact

Verdict = Literal["better", "same", "within noise", "worse", "not comparable"]
SHOWN = ("size_bytes", "top1_pct", "map_pct", "latency_p50_ms", "latency_p95_ms", "peak_rss_bytes")
_MACHINE = ("cpu", "arch", "cores", "flags")


class Change(Fact):
    """One number of one row, before and after.

    Attributes:
        change: new minus old.
        change_ci95: interval of `change`, from the nearest ends to the farthest; None where no noise is known.
        limit: how much worse it may get, as given; None without a limit.
        broken: whether the limit is broken.
        reason: what bears on the verdict; empty when there is nothing to add.
    """

    stage: str
    metric: str
    old: float | None
    new: float | None
    change: float | None = None
    change_ci95: Interval | None = None
    verdict: Verdict
    limit: str | None = None
    broken: bool = False
    reason: str = ""


class Comparison(Fact):
    """All changes, in the order of the old rows, and what makes them doubtful."""

    changes: tuple[Change, ...]
    warnings: tuple[str, ...] = ()

    @property
    def broken(self) -> tuple[Change, ...]:
        """Return the changes that break their limit."""
        return tuple(change for change in self.changes if change.broken)

    @property
    def judged(self) -> tuple[Change, ...]:
        """Return the changes that a limit could be held against."""
        return tuple(one for one in self.changes if one.limit and (one.broken or one.verdict != "not comparable"))


def compare(
    old: Bench,
    new: Bench,
    limits: Sequence[Limit] = (),
    answers: tuple[Answers | None, Answers | None] = (None, None),
) -> Comparison:
    """Return what changed of the `SHOWN` metrics and those that have a limit; rows are matched by stage.

    Args:
        old: before.
        new: after.
        limits: how much worse what may get. A row or number that is gone in `new` breaks every limit on it.
        answers: what lies beside the two, for the comparison image by image.
    """
    by_metric = {limit.metric: limit for limit in limits}
    metrics = [name for name in METRICS if name in SHOWN or name in by_metric]
    after = {row.stage: row for row in new.rows}
    failed = {one.name: one.error for one in new.failed}
    machine = _machine_differs(old.host, new.host)
    changes = []
    for before in old.rows:
        row = after.get(before.stage)
        measured = [name for name in metrics if getattr(before, name) is not None or name in by_metric]
        if row is None:
            gone = failed.get(before.stage, "the row is gone")
            changes += [_lost(before, None, metric, by_metric.get(metric), gone) for metric in measured]
            continue
        differs = {
            "machine": machine or _setting_differs(before, row),
            "images": _images_differ(old, new, before, row),
        }
        paired = _paired(before, row, *answers)
        changes += [
            _change(before, row, metric, by_metric.get(metric), differs.get(METRICS[metric].needs, ""), paired)
            for metric in measured
        ]
    return Comparison(changes=tuple(changes), warnings=tuple(_warnings(old, new, machine)))


def _change(old: Row, new: Row, metric: str, limit: Limit | None, differs: str, paired: Interval | None) -> Change:
    before, after = getattr(old, metric), getattr(new, metric)
    if before is None or after is None:
        return _lost(old, new, metric, limit, new.error or "no longer measured")
    known = {"stage": old.stage, "metric": metric, "old": before, "new": after, "limit": limit.text if limit else None}
    known["change"] = after - before
    if differs:
        return Change(**known, verdict="not comparable", reason=differs)
    noise = paired if metric == "top1_pct" and paired else _between(interval_of(old, metric), interval_of(new, metric))
    doubt = _unstable(old, new, metric)
    return Change(**known, change_ci95=noise, **_judged(metric, before, after, noise, limit, doubt))


def _lost(old: Row, new: Row | None, metric: str, limit: Limit | None, gone: str) -> Change:
    """Return the change of a number that one side lacks; where only the new one lacks it, that breaks its limit."""
    before, after = getattr(old, metric), getattr(new, metric, None)
    return Change(
        stage=old.stage,
        metric=metric,
        old=before,
        new=after,
        verdict="not comparable",
        limit=limit.text if limit else None,
        broken=limit is not None and before is not None,
        reason="not measured before" if before is None else gone,
    )


def _judged(
    metric: str, old: float, new: float, noise: Interval | None, limit: Limit | None, doubt: str
) -> dict[str, Any]:
    """Return verdict, broken and reason."""
    sign = 1 if METRICS[metric].worse == "+" else -1
    worsening = sign * (new - old)
    ends = (worsening, worsening) if noise is None else sorted(sign * end for end in noise)
    verdict: Verdict = "worse" if ends[0] > 0 else "better" if ends[1] < 0 else "within noise"
    if new == old:
        verdict = "same"
    reasons = [doubt] if doubt else []
    broken = False
    if limit is not None:
        allowed = limit.allowed(old)
        broken = worsening > allowed and ends[0] > allowed
        if worsening > allowed and not broken:
            reasons.append("its figure is beyond the limit, but not beyond the noise")
    if noise is None:
        reasons.append("no interval: the plain figures decide")
    return {"verdict": verdict, "broken": broken, "reason": "; ".join(reasons)}


def _between(old: Interval | None, new: Interval | None) -> Interval | None:
    """Return the interval of new - old from its two ends that lie nearest to those that lie farthest."""
    return None if old is None or new is None else (new[0] - old[1], new[1] - old[0])


def _paired(old: Row, new: Row, before: Answers | None, after: Answers | None) -> Interval | None:
    """Return the interval of the change of top-1, in pp, image by image; None unless the same were asked."""
    if before is None or after is None or before.truth != after.truth:
        return None
    names = [[PurePath(path).name for path in one.paths] for one in (before, after)]
    right_before, right_after = _right(old, before), _right(new, after)
    if names[0] != names[1] or right_before is None or right_after is None:
        return None
    lost = sum(was and not now for was, now in zip(right_before, right_after, strict=True))
    gained = sum(now and not was for was, now in zip(right_before, right_after, strict=True))
    low, high = paired_interval_pp(lost, gained, len(before.truth))
    return -high, -low


def _right(row: Row, answers: Answers) -> list[bool] | None:
    """Return whether each image was answered rightly; None where the answers are not those behind the row."""
    if row.top1_pct is None or row.stage not in answers.top1:
        return None
    right = [said == truth for said, truth in zip(answers.top1[row.stage], answers.truth, strict=True)]
    return right if math.isclose(100 * sum(right) / len(right), row.top1_pct, abs_tol=1e-6) else None


def _machine_differs(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    found = [f"{key} {old.get(key)} and {new.get(key)}" for key in _MACHINE if old.get(key) != new.get(key)]
    return f"measured on other machines ({'; '.join(found)})" if found else ""


def _setting_differs(old: Row, new: Row) -> str:
    pairs = {name: (getattr(old, name), getattr(new, name)) for name in ("threads", "batch")}
    found = [f"{name} {before} and {after}" for name, (before, after) in pairs.items() if before != after]
    return f"measured in another way ({'; '.join(found)})" if found else ""


def _images_differ(old: Bench, new: Bench, before: Row, after: Row) -> str:
    if old.split != new.split:
        return f"other images ({old.split} and {new.split})"
    if after.n_images is not None and before.n_images != after.n_images:
        return f"other images (n = {before.n_images} and {after.n_images})"
    return ""


def _unstable(old: Row, new: Row, metric: str) -> str:
    unstable = [which for which, row in (("old", old), ("new", new)) if row.stable is False]
    return f"times were unstable ({' and '.join(unstable)})" if unstable and METRICS[metric].needs == "machine" else ""


def _warnings(old: Bench, new: Bench, machine: str) -> list[str]:
    warnings = [f"{machine}: times and memory cannot be compared"] if machine else []
    warnings += [f"{which}: {text}" for which, bench in (("old", old), ("new", new)) for text in bench.warnings]
    known = {row.stage for row in old.rows}
    if alone := [row.stage for row in new.rows if row.stage not in known]:
        warnings.append(f"only the new one has {', '.join(alone)}: not compared")
    return warnings
