"""A bar chart as SVG, which needs no library to write and any browser shows."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

_ROW_PX = 18
_LABEL_PX = 330
_BAR_PX = 420
_VALUE_PX = 180
_TOP_PX = 34
_TEXT = 'font-family="sans-serif" font-size="12"'


def bars_svg(title: str, bars: Sequence[tuple[str, float, str]]) -> str:
    """Return a chart of horizontal bars, one below the other.

    Args:
        title: above the bars.
        bars: (label, value at least 0, text behind the bar).
    """
    longest = max((value for _, value, _ in bars), default=0.0) or 1.0
    width, height = _LABEL_PX + _BAR_PX + _VALUE_PX, _TOP_PX + _ROW_PX * len(bars) + 8
    rows = []
    for index, (label, value, text) in enumerate(bars):
        middle = _TOP_PX + _ROW_PX * index + _ROW_PX // 2
        bar = _BAR_PX * value / longest
        rows += [
            f'<text x="{_LABEL_PX - 8}" y="{middle + 4}" text-anchor="end" {_TEXT}>{escape(label)}</text>',
            f'<rect x="{_LABEL_PX}" y="{middle - 6}" width="{bar:.1f}" height="12" fill="#3b6ea5"/>',
            f'<text x="{_LABEL_PX + bar + 6:.1f}" y="{middle + 4}" fill="#555" {_TEXT}>{escape(text)}</text>',
        ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
    background = '<rect width="100%" height="100%" fill="white"/>'
    heading = f'<text x="8" y="20" font-weight="bold" {_TEXT}>{escape(title)}</text>'
    return "\n".join([head, background, heading, *rows, "</svg>", ""])
