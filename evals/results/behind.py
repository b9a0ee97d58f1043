"""Where ours is behind: the pairs of a table in which the other row has the better number, as one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from evals.results.markdown import cell_text
from evals.results.schema import Block, Cell

Row = Mapping[str, Cell]
Better = Literal["higher", "lower"]


def middle(cell: Cell) -> float | None:
    """Return a cell's number, of an interval with a middle that; None where there is none to compare."""
    if isinstance(cell, tuple):
        return cell[0] if len(cell) == 3 else None
    return None if isinstance(cell, str) else cell


def behind(
    block: Block, pairs: Iterable[tuple[Row, Row]], better: Mapping[str, Better], names: Sequence[str]
) -> list[str]:
    """Return a sentence with every pair (ours, other) whose other is better, empty where there is none.

    Args:
        block: gives titles and decimals.
        pairs: rows of the block.
        better: key of a column -> which end of it is good.
        names: the columns that name a row.
    """
    kept, found = list(pairs), []
    for column in block.columns:
        worse: dict[str, list[str]] = {}
        for own, other in kept:
            if column.key in better and _is_better(other.get(column.key), own.get(column.key), better[column.key]):
                ours, theirs = (f"{_name(row, names)} {cell_text(row[column.key], column)}" for row in (own, other))
                worse.setdefault(ours, []).append(theirs)
        if worse:
            texts = [f"{ours} against {', '.join(theirs)}" for ours, theirs in worse.items()]
            found.append(f'In "{column.title}": {"; ".join(texts)}.')
    return [f"Where ours is behind. {' '.join(found)}"] if found else []


def siblings(rows: Sequence[Row], name: str) -> list[tuple[Row, Row]]:
    """Return each row with the stock network that is as narrow, which has its name and `-sibling`."""
    named = {row[name]: row for row in rows}
    return [(row, named[f"{row[name]}-sibling"]) for row in rows if f"{row[name]}-sibling" in named]


def _is_better(other: Cell, own: Cell, better: Better) -> bool:
    theirs, ours = middle(other), middle(own)
    if theirs is None or ours is None:
        return False
    return theirs > ours if better == "higher" else theirs < ours


def _name(row: Row, names: Sequence[str]) -> str:
    return " ".join(str(row[name]) for name in names)
