"""The sensitivity of a network as an image: one row a group, one column a share, SVG without any library."""

from __future__ import annotations

from xml.sax.saxutils import escape

from compress.prune.sensitivity import LEVELS, GroupSensitivity, WidthPoint

_CELL_PX, _ROW_PX, _LABEL_PX, _TOP_PX = 64, 20, 300, 58
_TEXT = 'font-family="sans-serif" font-size="12"'
_WHITE, _RED = (255, 255, 255), (200, 40, 40)


def heat_map_svg(title: str, found: GroupSensitivity) -> str:
    """Return a heat map of the points of top-1 that each group costs at each share of its channels.

    Args:
        title: above the map.
        found: what was measured; groups that cannot be cut have an empty row.
    """
    drops = [_drop(found, point) for points in found.curves.values() for point in points]
    worst = max((drop for drop in drops if drop > 0), default=1.0)
    rows = [_heading(column, level) for column, level in enumerate(LEVELS)]
    for row, (root, points) in enumerate(found.curves.items()):
        top = _TOP_PX + row * _ROW_PX
        rows.append(f'<text x="{_LABEL_PX - 8}" y="{top + 14}" text-anchor="end" {_TEXT}>{escape(root)}</text>')
        for point in points:
            column = min(range(len(LEVELS)), key=lambda index: abs(LEVELS[index] - point.keep))
            rows.append(_cell(column, top, _drop(found, point), worst, point))
    width = _LABEL_PX + _CELL_PX * len(LEVELS) + 16
    height = _TOP_PX + _ROW_PX * len(found.curves) + 12
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
    background = '<rect width="100%" height="100%" fill="white"/>'
    heading = f'<text x="8" y="20" font-weight="bold" {_TEXT}>{escape(title)}</text>'
    return "\n".join([head, background, heading, *rows, "</svg>", ""])


def _drop(found: GroupSensitivity, point: WidthPoint) -> float:
    return found.whole.top1_pct - point.top1_pct


def _heading(column: int, level: float) -> str:
    middle = _LABEL_PX + column * _CELL_PX + _CELL_PX // 2
    return f'<text x="{middle}" y="{_TOP_PX - 8}" text-anchor="middle" {_TEXT}>{100 * level:g} %</text>'


def _cell(column: int, top: int, drop: float, worst: float, point: WidthPoint) -> str:
    share = min(1.0, max(0.0, drop / worst)) ** 0.5  # the root shows small drops, which decide
    colour = "#" + "".join(
        f"{round(white + share * (red - white)):02x}" for white, red in zip(_WHITE, _RED, strict=True)
    )
    left = _LABEL_PX + column * _CELL_PX
    return (
        f'<rect x="{left}" y="{top}" width="{_CELL_PX - 1}" height="{_ROW_PX - 1}" fill="{colour}">'
        f"<title>{point.width} channels: {drop:.2f} points</title></rect>"
        f'<text x="{left + _CELL_PX // 2}" y="{top + 14}" text-anchor="middle" {_TEXT}>{drop:.1f}</text>'
    )
