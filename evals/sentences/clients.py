"""What docs say of HTTP clients."""

from __future__ import annotations

from evals.results.schema import Block

REQUESTS = "clients-requests"


def clients_sentences(block: Block) -> list[str]:
    """Return how many replies were right, and the clients for which some were not."""
    if block.key != REQUESTS:
        return []
    wrong = [str(row["client"]) for row in block.rows if row["ok"] != row["replies"]]
    ok, replies = (sum(int(str(row[key])) for row in block.rows) for key in ("ok", "replies"))
    verdict = f"not of {', '.join(wrong)}" if wrong else "of every client"
    return [f"{ok} of {replies} replies have status 200 and the right label, {verdict}."]
