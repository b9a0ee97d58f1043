"""Numbers as text: one format for the terminal, `report.md`, report.html and README."""

from __future__ import annotations

NOT_MEASURED = "-"
KIB = 1024


def size_text(size_bytes: int) -> str:
    """Return a size in KiB below one MiB, else in MiB."""
    kib = size_bytes / KIB
    return f"{kib:.0f} KiB" if kib < KIB else f"{kib / KIB:.2f} MiB"


def number_text(value: float | None, digits: int) -> str:
    """Return a number with a fixed count of decimals, `NOT_MEASURED` where there is none."""
    return NOT_MEASURED if value is None else f"{value:.{digits}f}"


def digits_text(value: float | None) -> str:
    """Return a number with three digits, whatever its size; `NOT_MEASURED` where there is none."""
    return NOT_MEASURED if value is None else f"{value:.3g}"


def count_text(value: int | None) -> str:
    """Return a count with the suffix k, M or G and three digits."""
    if value is None:
        return NOT_MEASURED
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g} {suffix}"
    return str(value)
