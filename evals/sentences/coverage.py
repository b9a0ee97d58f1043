"""What docs say of how many architectures come through."""

from __future__ import annotations

from evals.results.schema import Block

FILES = "coverage-files"
_FLOAT_GOAL_PCT, _INT8_GOAL_PCT = 95.0, 85.0


def coverage_sentences(block: Block) -> list[str]:
    """Return the shares that came through, of all files that torch's exporters made, and whether the goals are met."""
    if block.key != FILES:
        return []
    rows = [row for row in block.rows if row["float"] != "not exported"]
    through = {
        "float TFLite": (sum(row["float"] == "yes" for row in rows), _FLOAT_GOAL_PCT),
        "int8 in both runtimes": (sum(row["int8"] == "both" for row in rows), _INT8_GOAL_PCT),
    }
    parts = [
        f"{what}: {count} of {len(rows)} files, {100 * count / len(rows):.1f} % "
        f"(goal {goal:g} %, {'met' if 100 * count / len(rows) >= goal else 'missed'})"
        for what, (count, goal) in through.items()
    ]
    tracebacks = sum("TRACEBACK" in str(row["stopped"]) for row in rows)
    return ["; ".join(parts) + f". {tracebacks} ended in a traceback."]
