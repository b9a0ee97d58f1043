"""What docs say of the server beside others."""

from __future__ import annotations

from evals.results.behind import Better, Row, behind
from evals.results.schema import Block

ATTACK = "attack"  # the key of its block
_MOST_SLOWER = 3.0  # the goal: p99 beside attackers over p99 alone
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
    """Return where a baseline is ahead of our server with the same file, under the same load; or an attack's goals."""
    if block.key == ATTACK:
        return attack_sentences(block)
    ours = [row for row in block.rows if row["server"] == SAME_FILE]
    others = [row for row in block.rows if not str(row["server"]).startswith(OURS)]
    pairs: list[tuple[Row, Row]] = [
        (own, other) for own in ours for other in others if own.get("offered") == other.get("offered")
    ]
    names = ["server", "offered"] if any("offered" in row for row in ours) else ["server"]
    return behind(block, pairs, _BETTER, names)


def attack_sentences(block: Block) -> list[str]:
    """Return what good clients lost, and how much slower their slowest answers became."""
    alone, attacked = block.rows[0], block.rows[1]
    times = float(str(attacked["p99_ms"])) / float(str(alone["p99_ms"]))
    goal = "within" if times <= _MOST_SLOWER else "the goal is missed:"
    lost = int(float(str(attacked["lost"])))
    return [
        f"Good clients lost {lost} of {attacked['sent']} requests; their p99 is {times:.1f} times that of calm, "
        f"{goal} {_MOST_SLOWER:g}."
    ]
