"""What README and docs say below a table of int8 files."""

from __future__ import annotations

from collections.abc import Sequence

from evals.results.behind import Row, behind
from evals.results.schema import Block

OURS = "imgc "
WITHOUT_TRAINING = "ptq"


def int8_sentences(block: Block) -> list[str]:
    """Return where another tool's file is more accurate or faster than ours without training, in the same runtime."""
    return behind(block, pairs(block.rows), {"top1_pct": "higher", "of_float": "lower"}, ["model"])


def pairs(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return ours without training beside every other tool's of the same runtime, none of which trains either."""
    ours = [row for row in rows if str(row.get("model", "")).startswith(OURS + WITHOUT_TRAINING)]
    others = [row for row in rows if not str(row.get("model", "")).startswith(OURS)]
    return [(own, other) for own in ours for other in others if own["runtime"] == other["runtime"]]
