"""Which of several measured models to ship: the fastest that keeps the constraint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from compress.core.artifact import Metrics
from compress.errors import StageError
from compress.quantize.accuracy.accuracy_constraint import AccuracyConstraint

SAME_SPEED = 1.03  # times closer than this are equal: noise between two measurements of one file


@dataclass(frozen=True)
class Candidate:
    """A way to make the model, and what its file was measured to be.

    Attributes:
        name: such as "int8, hard-swish gate".
        metrics: as `FloatReference.measure` has them; empty where there is no file.
        p50_ms: median latency of one image in the target's runtime; None where there is no file.
        size_bytes: of the file.
        partitions: XNNPACK delegate partitions; None outside LiteRT.
        refused: why it may not be shipped; empty where it may.
    """

    name: str
    metrics: Metrics
    p50_ms: float | None
    size_bytes: int | None
    partitions: int | None
    refused: str = ""

    def as_json(self) -> dict[str, object]:
        """Return it as JSON data."""
        return asdict(self)


def choose(candidates: Sequence[Candidate], constraint: AccuracyConstraint) -> tuple[Candidate, str]:
    """Return the fastest candidate that nothing speaks against, among equally fast ones the smallest; and why.

    Raises:
        StageError: none is left.
    """
    left = [candidate for candidate in candidates if not candidate.refused]
    if not left:
        reasons = "\n  ".join(f"{candidate.name}: {candidate.refused}" for candidate in candidates)
        hint = "allow more, give more calibration images, or train: `scheme: int8_qat`"
        raise StageError(f"no candidate keeps the constraint ({constraint}):\n  {reasons}", hint=hint)
    fastest = min(_ms(candidate) for candidate in left)
    equal = [candidate for candidate in left if _ms(candidate) <= fastest * SAME_SPEED]
    best = min(equal, key=lambda candidate: (candidate.size_bytes or 0, _ms(candidate)))
    return best, _why(best, candidates, equal, constraint)


def _ms(candidate: Candidate) -> float:
    assert candidate.p50_ms is not None, "what may be shipped was timed"
    return candidate.p50_ms


def _why(
    best: Candidate, candidates: Sequence[Candidate], equal: Sequence[Candidate], constraint: AccuracyConstraint
) -> str:
    texts = [f"{best.name} keeps the constraint ({constraint})"]
    if len(equal) > 1:
        others = ", ".join(candidate.name for candidate in equal if candidate is not best)
        texts.append(f"is as fast as {others} to within {100 * (SAME_SPEED - 1):.0f} %, and smaller")
    else:
        texts.append("is the fastest of those that do")
    faster = [one.name for one in candidates if one.refused and one.p50_ms and one.p50_ms * SAME_SPEED < _ms(best)]
    if faster:
        texts.append(f"{', '.join(faster)} would be faster, but may not be shipped")
    return "; ".join(texts)
