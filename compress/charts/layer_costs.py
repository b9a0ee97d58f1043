"""What each layer or group of a network costs, as bars and as a heat map, on a page or in a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import vl_convert

from compress.core.visible import visible_values

_EXTENT_PX = 70  # least room for names beside bars, so that all drawings are scaled alike
_FOR_TEXT = 1.4  # length of the axis by the longest bar, for the text behind it


@dataclass(frozen=True)
class Paper:
    """What is drawn on: colours, and sizes in pixels.

    Attributes:
        ink: of text beside and on marks.
        soft: of axes' text.
        edge: of axes.
        line: of grids.
        bar: of bars.
        bad: of losses.
        background: behind all.
        font: of all text.
        width_px: between the axes.
        row_px: height of a row.
        label_px: longest name of a row before it is cut.
    """

    ink: str
    soft: str
    edge: str
    line: str
    bar: str
    bad: str
    background: str
    font: str
    width_px: int
    row_px: float
    label_px: int


# a report's colours are its page's CSS variables, so that one drawing serves light and dark
PAGE = Paper(
    ink="var(--ink)",
    soft="var(--soft)",
    edge="var(--edge)",
    line="var(--line)",
    bar="var(--bar)",
    bad="var(--bad)",
    background="transparent",
    font="system-ui, sans-serif",
    width_px=240,
    row_px=22.1,
    label_px=110,
)
FILE = Paper(
    ink="#222222",
    soft="#555555",
    edge="#999999",
    line="#dddddd",
    bar="#3b6ea5",
    bad="#c82828",
    background="white",
    font="sans-serif",
    width_px=420,
    row_px=20,
    label_px=330,
)


def bars(rows: Sequence[tuple[str, float | None, str]], paper: Paper) -> alt.TopLevelMixin:
    """Return one bar a row: its name, its value (at least 0; None: the row is left out) and the text behind it."""
    values = [{"layer": name, "value": value, "text": text} for name, value, text in rows]
    room = _FOR_TEXT * max((value or 0.0 for _, value, _ in rows), default=1.0) or 1.0
    x = alt.X("value:Q", axis=None, scale=alt.Scale(domain=[0, room]))
    base = alt.Chart({"values": values}).encode(y=row_names("layer"), x=x)
    labels = base.mark_text(align="left", dx=5, color=paper.ink).encode(text="text:N")
    marks = base.mark_bar(color=paper.bar, height=12)
    return alt.layer(marks, labels).properties(width=paper.width_px, height=paper.row_px * len(values))


def heat_map(names: Sequence[str], cuts: Sequence[tuple[str, float, float]], paper: Paper) -> alt.TopLevelMixin:
    """Return one row a group, one column an eighth of its channels, the lost points of top-1 in the cells.

    Of two widths that round to the same eighth the dearer is shown.

    Args:
        names: the groups; one that cannot be cut has an empty row.
        cuts: (group, share of its channels that are kept, points of top-1 that this loses).
        paper: what it is drawn on.
    """
    drops: dict[tuple[str, int], float] = {}
    for name, keep, drop in cuts:
        cell = (name, round(8 * keep))
        drops[cell] = max(drops.get(cell, drop), drop)
    worst = max(drops.values(), default=0.0) or 1.0
    values = [
        {
            "group": name,
            "eighths": eighths,
            "share": min(1.0, max(0.0, drop / worst)) ** 0.5,  # the root shows small drops, which decide
            "text": f"{drop:.1f}",
        }
        for (name, eighths), drop in drops.items()
    ]
    x = alt.X("eighths:O", sort="descending", title="channels kept, in eighths", axis=alt.Axis(labelAngle=0))
    y = row_names("group").scale(domain=list(names))
    base = alt.Chart({"values": values}).encode(x=x, y=y)
    shade = alt.Opacity("share:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0.04, 0.55]))
    cells = base.mark_rect(color=paper.bad).encode(opacity=shade)
    labels = base.mark_text(color=paper.ink).encode(text="text:N")
    return alt.layer(cells, labels).properties(width=paper.width_px, height=paper.row_px * len(names))


def row_names(field: str, title: str | None = None) -> alt.Y:
    """Return the axis of names, one a row, in the order in which they are given."""
    axis = alt.Axis(ticks=False, domain=False, minExtent=_EXTENT_PX)
    return alt.Y(f"{field}:N", sort=None, title=title, axis=axis)


def to_svg(chart: alt.TopLevelMixin, paper: Paper, title: str = "") -> str:
    """Return the drawing as SVG."""
    axis = {"labelColor": paper.soft, "titleColor": paper.soft, "gridColor": paper.line}
    axis |= {"domainColor": paper.edge, "tickColor": paper.edge, "titleFontWeight": "normal"}
    text = {"labelFontSize": 12, "titleFontSize": 12, "labelLimit": paper.label_px, "tickCount": 4}
    config = {"aria": False, "background": paper.background, "font": paper.font, "view": {"stroke": None}}
    spec = {
        **visible_values(chart.to_dict()),
        "padding": {"left": 20, "right": 12, "top": 4, "bottom": 4},  # another font may be wider than the measured one
        "config": {**config, "axis": {**axis, **text}, "text": {"fontSize": 12}},
    }
    if title:
        spec["title"] = {"text": title, "anchor": "start", "frame": "bounds", "color": paper.ink, "fontSize": 12}
    svg: str = vl_convert.vegalite_to_svg(spec)
    return svg
