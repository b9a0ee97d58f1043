"""The operators of a profile as cells: by type, and the slowest of them."""

from __future__ import annotations

from collections.abc import Sequence

from compress.benchmark.schema import OpTime, Row
from compress.core.formats import Format

TYPE_COLUMNS = ("operator", "count", "ms", "share %", "not delegated")
NODE_COLUMNS = ("node", "operator", "ms", "share %", "delegated")
_SAID = {True: "yes", False: "NO", None: "-"}


def type_cells(ops: Sequence[OpTime]) -> list[tuple[str, ...]]:
    """Return the operators summed by type, the dearest first, in the order of `TYPE_COLUMNS`."""
    types = {one.op: [other for other in ops if other.op == one.op] for one in ops}
    ordered = sorted(types.items(), key=lambda item: -sum(one.ms for one in item[1]))
    return [
        (
            op,
            str(len(own)),
            f"{sum(one.ms for one in own):.3f}",
            f"{sum(one.share_pct for one in own):.1f}",
            "-" if own[0].delegated is None else str(sum(one.delegated is False for one in own)),
        )
        for op, own in ordered
    ]


def node_cells(ops: Sequence[OpTime], count: int) -> list[tuple[str, ...]]:
    """Return the slowest `count` operators in the order of `NODE_COLUMNS`."""
    slowest = sorted(ops, key=lambda one: -one.ms)[:count]
    return [(one.name, one.op, f"{one.ms:.3f}", f"{one.share_pct:.1f}", _SAID[one.delegated]) for one in slowest]


def sum_text(row: Row) -> str:
    """Return one line: what the operators add up to beside what a call takes, and what that is worth."""
    total_ms = sum(one.ms for one in row.ops)
    call = "" if row.latency_p50_ms is None else f", a call takes {row.latency_p50_ms:.3f} ms"
    noisy = "; differences of cut graphs: small operators are noise" if row.format is Format.TFLITE else ""
    return f"the operators add up to {total_ms:.3f} ms{call}{noisy}"
