"""What the user allows an int8 model to lose."""

from __future__ import annotations

from dataclasses import dataclass

from compress.core.artifact import Metrics

METRIC_NAMES = {"top1": "top-1", "map": "mAP"}


@dataclass(frozen=True)
class AccuracyConstraint:
    """Limits that a judgement is held against; both must hold.

    Attributes:
        max_drop_pp: how many points of top-1, or of mAP, below the float model; None where it does not matter.
        min_agreement_pct: least share of equal top-1 answers, or of matching boxes; None where it does not matter.
    """

    max_drop_pp: float | None
    min_agreement_pct: float | None

    def __bool__(self) -> bool:
        """Return whether anything is asked for."""
        return self.max_drop_pp is not None or self.min_agreement_pct is not None

    def __str__(self) -> str:
        """Return the limits in words."""
        drop = [] if self.max_drop_pp is None else [f"drop <= {self.max_drop_pp:g} pp"]
        same = [] if self.min_agreement_pct is None else [f"agreement >= {self.min_agreement_pct:g} %"]
        return " and ".join(drop + same) or "no constraint"

    def broken_by(self, metrics: Metrics) -> str:
        """Return what does not hold, with the numbers; empty where all does."""
        texts = []
        drop, agreement = drop_pp(metrics), float(metrics["agreement_pct"] or 0.0)
        if self.max_drop_pp is not None and drop is not None and drop > self.max_drop_pp + 1e-9:
            texts.append(f"{METRIC_NAMES[metric_of(metrics)]} drops by {drop:.2f} pp, allowed {self.max_drop_pp:g}")
        if self.min_agreement_pct is not None and agreement < self.min_agreement_pct - 1e-9:
            texts.append(f"agreement is {agreement:.2f} %, at least {self.min_agreement_pct:g} is wanted")
        return "; ".join(texts)


def drop_pp(metrics: Metrics) -> float | None:
    """Return how many points of accuracy a judged file is below the float model; None without labels."""
    metric = metric_of(metrics)
    before, after = metrics.get(f"float_{metric}_pct"), metrics.get(f"{metric}_pct")
    return None if before is None or after is None else float(before) - float(after)


def metric_of(metrics: Metrics) -> str:
    """Return what accuracy is in a judgement: "map" of a detector, else "top1"."""
    return "map" if "map_pct" in metrics else "top1"
