"""A comparison as text: for the terminal, and as Markdown for a CI summary."""

from __future__ import annotations

from compress.benchmark.compare import Change, Comparison
from compress.core.names import few
from compress.report.numbers import NOT_MEASURED
from compress.report.table import markdown_table

COLUMNS = ("stage", "metric", "verdict", "old", "new", "change", "change %", "95 % noise", "limit")
TEXT_COLUMNS = 3


def change_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return one tuple of cells for each change, in the order of `COLUMNS`."""
    return [_cells(change) for change in comparison.changes]


def remarks(comparison: Comparison) -> list[str]:
    """Return one line for each thing that bears on verdicts; equal reasons are said once."""
    reasons: dict[str, list[str]] = {}
    for change in comparison.changes:
        if change.reason:
            reasons.setdefault(change.reason, []).append(f"{change.stage} {change.metric}")
    return [f"{reason}: {few(names, 4)}" for reason, names in reasons.items()]


def comparison_markdown(title: str, comparison: Comparison) -> str:
    """Return a comparison as one page."""
    parts = [f"# {title}"]
    limits = [change for change in comparison.changes if change.limit]
    if limits:
        broken = len(comparison.broken)
        parts.append(f"**{broken} of {len(limits)} limits broken.**" if broken else f"All {len(limits)} limits hold.")
    parts += [f"> **Warning:** {text}" for text in comparison.warnings]
    parts.append(markdown_table(COLUMNS, change_rows(comparison), TEXT_COLUMNS))
    if lines := remarks(comparison):
        parts.append("\n".join(f"- {line}" for line in lines))
    return "\n\n".join(parts) + "\n"


def _cells(change: Change) -> tuple[str, ...]:
    percent = None
    if change.change is not None and change.old:
        percent = 100 * change.change / abs(change.old)
    noise = change.change_ci95
    return (
        change.stage,
        change.metric,
        f"{change.verdict}, BROKEN" if change.broken else change.verdict,
        _number(change.old, ""),
        _number(change.new, ""),
        _number(change.change, "+"),
        NOT_MEASURED if percent is None else f"{percent:+.1f}",
        NOT_MEASURED if noise is None else f"{_number(noise[0], '+')} to {_number(noise[1], '+')}",
        change.limit or NOT_MEASURED,
    )


def _number(value: float | None, sign: str) -> str:
    if value is None:
        return NOT_MEASURED
    if value == int(value):
        return f"{int(value):{sign}d}"
    return f"{value:{sign}.4g}"
