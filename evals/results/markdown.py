"""A file of results as the Markdown between two markers of a page."""

from __future__ import annotations

from collections.abc import Callable

from compress.errors import UsageError
from compress.report.numbers import NOT_MEASURED, count_text, size_text
from compress.report.table import host_text, markdown_table
from evals.results.schema import Block, Cell, Column, LatencyDefinition, Measured, ResultFile

Sentences = Callable[[Block], list[str]]
"""What follows from a block's numbers, a paragraph each."""
_LATENCY: dict[LatencyDefinition, str] = {
    "call": "Latency is the runtime's own call.",
    "call and conversion": (
        "Latency under the older definition, the runtime's call and the conversion of the float image before it "
        "(until `579611e`); the conversion alone is in [measuring](measuring.md)."
    ),
}


def results_markdown(results: ResultFile, sentences: Sentences, note: str = "") -> str:
    """Return the generated text of a page, without markers: for each block its circumstances, table and sentences.

    Args:
        results: the page's JSON.
        sentences: what follows from a block's numbers.
        note: what holds for all of them.
    """
    parts = [f"_Written by `{results.command}` and `make results-render`; no number is typed by hand._"]
    if note:
        parts.append(note)
    for block in results.blocks:
        parts.append(block_text(block))
        if block.rows:
            parts.append(block_table(block))
        parts += sentences(block)
    return "\n\n".join(parts)


def block_text(block: Block) -> str:
    """Return a block's title, count, setting, machine, date, commit and definition of latency."""
    counts = ", ".join(f"n = {count} {of}" for of, count in block.n.items())
    setting = ", ".join(part for part in (counts, block.setting) if part)
    return f"**{block.title}**: {setting}. {measured_text(block.measured)}"


def measured_text(measured: Measured) -> str:
    """Return when, where and by which code a block was measured, in sentences."""
    commit = f"`{measured.commit}`{' and changes that were not committed' if measured.changed else ''}"
    parts = [f"Machine: {host_text(measured.host)}." if measured.host else "The machine was not noted."]
    copied = f"; numbers copied from the {measured.recovered_from}" if measured.recovered_from else ""
    parts.append(f"Measured on {measured.date} at {commit}{copied}.")
    if measured.latency:
        parts.append(_LATENCY[measured.latency])
    return " ".join(parts)


def block_table(block: Block) -> str:
    """Return a block's table."""
    texts = sum(column.kind == "text" for column in block.columns)
    rows = [tuple(cell_text(row.get(column.key), column) for column in block.columns) for row in block.rows]
    return markdown_table(tuple(column.title for column in block.columns), rows, texts)


def cell_text(cell: Cell, column: Column) -> str:
    """Return a cell as a reader sees it."""
    if cell is None:
        return NOT_MEASURED
    if isinstance(cell, str):
        return cell
    if isinstance(cell, tuple):
        numbers = [f"{number:.{column.digits}f}" for number in cell]
        return "-".join(numbers) if len(numbers) == 2 else f"{numbers[0]} ({numbers[1]}-{numbers[2]})"
    if column.kind == "bytes":
        return size_text(int(cell))
    return count_text(int(cell)) if column.kind == "count" else f"{cell:.{column.digits}f}"


def replace_block(page: str, block: str, marker: str) -> str:
    """Return a page's text with what stands between `<!-- marker:begin -->` and `<!-- marker:end -->` replaced.

    Raises:
        UsageError: the text has not one pair of markers, in this order.
    """
    begin, end = f"<!-- {marker}:begin -->", f"<!-- {marker}:end -->"
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise UsageError(f"the text needs one '{begin}' and after it one '{end}'")
    head, tail = page[: page.index(begin) + len(begin)], page[page.index(end) :]
    return f"{head}\n\n{block}\n\n{tail}"
