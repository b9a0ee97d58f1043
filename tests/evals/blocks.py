"""Blocks of results for tests: the circumstances are made up, the cells are given."""

from __future__ import annotations

from datetime import date
from typing import Any

from evals.results.schema import Block, Column, Measured

HOST = {"cpu": "Some CPU", "flags": ["avx2"], "cores": 2, "os": "Linux 6.1", "python": "3.11.2"}
MEASURED = Measured(date=date(2026, 11, 26), commit="abc1234", host=HOST)


def block(rows: list[dict[str, Any]], *, key: str = "one", texts: tuple[str, ...] = ("model",), **facts: Any) -> Block:
    """Return a block whose columns are the keys of the rows; those named in `texts` come first."""
    keys = dict.fromkeys(name for row in rows for name in row)
    columns = (
        *(Column(key=name, title=name, kind="text") for name in texts),
        *(Column(key=name, title=name, digits=2) for name in keys if name not in texts),
    )
    return Block(
        key=key,
        title=f"`{key}`",
        n={"test images": 9},
        setting="one thread",
        measured=MEASURED,
        columns=columns,
        rows=tuple(rows),
        facts=facts,
    )
