"""What docs say of the measuring itself."""

from __future__ import annotations

from evals.results.schema import Block, Cell

QUIET, BUSY = "quiet", "beside a busy program on every core"
REPEAT = "repeat"


def measuring_sentences(block: Block) -> list[str]:
    """Return the verdict on repeatability below the benchmarks that were repeated; nothing below other tables."""
    return [verdict(block)] if block.key == REPEAT else []


def verdict(block: Block) -> str:
    """Return what the warnings are worth: how many benchmarks had one, and what the rest spread.

    A warning on a quiet machine is a false alarm, and is called so.
    """
    rows = {str(row["condition"]): row for row in block.rows}
    said = {name: (_count(row["said"]), _count(row["benchmarks"])) for name, row in rows.items()}
    (busy, of_busy), (quiet, of_quiet) = said[BUSY], said[QUIET]
    text = f"Verdict: {busy} of {of_busy} benchmarks beside a busy program were called unstable or busy"
    text += f", and {quiet} of {of_quiet} quiet ones too" if quiet else f", and none of {of_quiet} quiet ones"
    if quiet == of_quiet and busy == of_busy:
        text += ": on this machine the warning did not tell a quiet machine from a busy one"
    elif quiet:
        text += ", which were false alarms"
    spread = block.facts.get("silent_spread_pct")
    if isinstance(spread, int | float):
        return f"{text}. The medians of those without a warning spread by {spread:.1f} %."
    return f"{text}. None was without a warning, so nothing is said of how well medians repeat."


def _count(cell: Cell) -> int:
    assert isinstance(cell, int), "a count"
    return cell
