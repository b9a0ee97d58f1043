"""What docs say of the server beside others."""

from __future__ import annotations

from evals.results.behind import Better, Row, behind
from evals.results.schema import Block

OURS, SAME_FILE = "imgc", "imgc, onnx"
_BETTER: dict[str, Better] = {
    "per_s": "higher",
    "p50_ms": "lower",
    "p99_ms": "lower",
    "cpu_ms": "lower",
    "good_share_pct": "higher",
    "cpu_pct": "lower",
    "start_s": "lower",
    "rss_mib": "lower",
    "idle_cpu_pct": "lower",
}


def serving_sentences(block: Block) -> list[str]:
    """Return where a baseline is ahead of our server with the same file, under the same load."""
    ours = [row for row in block.rows if row["server"] == SAME_FILE]
    others = [row for row in block.rows if not str(row["server"]).startswith(OURS)]
    pairs: list[tuple[Row, Row]] = [
        (own, other) for own in ours for other in others if own.get("offered") == other.get("offered")
    ]
    names = ["server", "offered"] if any("offered" in row for row in ours) else ["server"]
    return behind(block, pairs, _BETTER, names)
