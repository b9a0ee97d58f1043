"""A report's figures as SVG, by Altair (Vega-Lite) without a browser.

Colours are the page's CSS variables, so that one drawing serves light and dark. Whatever a drawing says in numbers,
but for the ticks of its axes, is text of `compress.report.table`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair as alt

from compress.benchmark.row_accuracy import accuracy_of
from compress.benchmark.schema import Row
from compress.charts.layer_costs import PAGE, bars, heat_map, row_names, to_svg
from compress.detect.precision import RECALLS
from compress.report.accuracy import accuracy_name
from compress.report.curves import Curve
from compress.report.json_report import Report
from compress.report.layers import LayerCosts
from compress.report.numbers import count_text, digits_text, number_text, size_text
from compress.report.precision_curves import PrecisionCurve

_WIDTH_PX, _ROW_PX, _SCATTER_PX = 240, 26, 200
_LAYERS, _CLASSES = 16, 24
_TONES = ("var(--ink)", "var(--bar)", "var(--bad)", "var(--good)", "var(--warn)")  # the baseline and `MAX_MODELS`
_FOR_TEXT = 1.4  # length of the axis by the longest bar, for the text behind it
_MEASURES: dict[str, tuple[Callable[[Row], float | None], Callable[[float], str]]] = {
    "size": (lambda row: row.size_bytes, lambda value: size_text(int(value))),
    "macs": (lambda row: row.macs, lambda value: count_text(int(value))),
    "latency": (lambda row: row.latency_p50_ms, lambda value: f"{number_text(value, 2)} ms"),
}
Drawings = dict[str, str]
_Data = Sequence[Mapping[str, Any]]


def draw(report: Report) -> Drawings:
    """Return name -> SVG of every figure that the report has the numbers for.

    Names: size, macs, latency, accuracy, accuracy-latency, accuracy-size, recall-STAGE, classes-STAGE, precision,
    precision-CLASS, loss-STAGE, val-STAGE, layers-STAGE.
    """
    charts: dict[str, alt.TopLevelMixin | None] = {name: _bars(report.rows, name) for name in _MEASURES}
    charts["accuracy"] = _accuracies(report.rows)
    for name in ("latency", "size"):
        charts[f"accuracy-{name}"] = _trade(report.rows, name)
    for changes in report.changes:
        recalls = [(one.label, one.before_pct, one.after_pct) for one in changes.recall]
        charts[f"recall-{changes.stage}"] = _before_after(recalls, "recall")
    for box_changes in report.box_changes:
        charts[f"classes-{box_changes.stage}"] = _classes(report, box_changes.stage)
    charts |= _precisions(report.precision)
    for curve in report.curves:
        charts[f"loss-{curve.stage}"] = _curve(curve, "train_loss", "training loss")
        charts[f"val-{curve.stage}"] = _curve(curve, "val_pct", curve.measure)
    for costs in report.layer_costs:
        charts[f"layers-{costs.stage}"] = _cuts(costs) if any(one.cuts for one in costs.layers) else _layers(costs)
    return {name: to_svg(chart, PAGE) for name, chart in charts.items() if chart is not None}


def pareto_front(points: Sequence[tuple[str, float, float]]) -> list[str]:
    """Return the names of the (name, cost, gain) that no other beats: less cost at no less gain, cheapest first."""
    front: list[str] = []
    best = float("-inf")
    for name, _, gain in sorted(points, key=lambda point: (point[1], -point[2])):
        if gain > best:
            front.append(name)
            best = gain
    return front


def _chart(rows: _Data) -> alt.Chart:
    return alt.Chart({"values": [dict(row) for row in rows]})


def _bars(rows: Sequence[Row], name: str) -> alt.TopLevelMixin | None:
    """Return one bar a model, each with its figure."""
    measure, text = _MEASURES[name]
    found = [(row.stage, measure(row)) for row in rows]
    values: list[dict[str, Any]] = [
        {"stage": stage, "value": value, "text": text(value)} for stage, value in found if value is not None
    ]
    if not values:
        return None
    room = _FOR_TEXT * max(row["value"] for row in values)
    x = alt.X("value:Q", axis=None, scale=alt.Scale(domain=[0, room]))
    base = _chart(values).encode(y=row_names("stage"), x=x)
    marks = base.mark_bar(color="var(--bar)", height=14)
    labels = base.mark_text(align="left", dx=5, color="var(--ink)").encode(text="text:N")
    return alt.layer(marks, labels).properties(width=_WIDTH_PX, height=_ROW_PX * len(values))


def _measured(rows: Sequence[Row]) -> list[dict[str, Any]]:
    found = [(row, accuracy_of(row)) for row in rows]
    return [
        {
            "stage": row.stage,
            "accuracy": accuracy.pct,
            "low": accuracy.ci95_pct[0],
            "high": accuracy.ci95_pct[1],
            "latency": row.latency_p50_ms,
            "size": row.size_bytes / 1024,
            "text": f"{number_text(accuracy.pct, 2)} %",
        }
        for row, accuracy in found
        if accuracy.pct is not None and accuracy.ci95_pct is not None
    ]


def _accuracies(rows: Sequence[Row]) -> alt.TopLevelMixin | None:
    """Return one point a model with its 95 % interval; the axis does not begin at zero, so there are no bars."""
    values = _measured(rows)
    if not values:
        return None
    base = _chart(values).encode(y=row_names("stage"))
    ends = [min(row["low"] for row in values), max(row["high"] for row in values)]
    scale = alt.Scale(domain=[ends[0], ends[0] + _FOR_TEXT * (ends[1] - ends[0])], nice=False)
    span = base.mark_rule(color="var(--edge)").encode(
        x=alt.X("low:Q", title=f"{accuracy_name(rows)}, %", scale=scale, axis=alt.Axis(grid=False)), x2="high:Q"
    )
    point = base.mark_circle(size=70, color="var(--bar)", opacity=1).encode(x="accuracy:Q")
    label = base.mark_text(align="left", dx=5, color="var(--ink)").encode(x="high:Q", text="text:N")
    return alt.layer(span, point, label).properties(width=_WIDTH_PX, height=_ROW_PX * len(values))


def _trade(rows: Sequence[Row], cost: str) -> alt.TopLevelMixin | None:
    """Return accuracy against a cost; what is on the Pareto front is filled and joined."""
    values = [row for row in _measured(rows) if row[cost] is not None]
    if not values:
        return None
    front = pareto_front([(row["stage"], row[cost], row["accuracy"]) for row in values])
    values.sort(key=lambda row: float(row[cost]))
    middle = (values[0][cost] + values[-1][cost]) / 2
    for row in values:
        row |= {"on": row["stage"] in front, "left": row[cost] > middle}
    _place_names(values, cost)
    values.sort(key=lambda row: bool(row["on"]))  # drawn last, so that no other hides it
    title = "median latency, ms" if cost == "latency" else "size, KiB"
    x = alt.X(f"{cost}:Q", title=title, scale=alt.Scale(zero=False, padding=24))
    accuracy = f"{accuracy_name(rows)}, %"
    base = _chart(values).encode(x=x, y=alt.Y("accuracy:Q", title=accuracy))
    scale = alt.Scale(zero=False, padding=18)
    span = base.mark_rule(color="var(--line)", strokeWidth=2).encode(
        y=alt.Y("low:Q", title=accuracy, scale=scale), y2="high:Q"
    )
    line = base.mark_line(color="var(--good)", strokeDash=[5, 4]).transform_filter("datum.on")
    colour = alt.condition("datum.on", alt.value("var(--good)"), alt.value("var(--edge)"))
    points = base.mark_circle(size=90, opacity=1).encode(color=colour)
    return alt.layer(span, line, points, *_tags(base, values)).properties(width=_WIDTH_PX + 40, height=_SCATTER_PX)


def _place_names(values: list[dict[str, Any]], cost: str) -> None:
    """Give each point `dy`, the height of its name beside it in pixels, so that no name lies on another."""
    lowest, span = values[0][cost], max(values[-1][cost] - values[0][cost], 1e-9)
    bottom = min(row["low"] for row in values)
    height = max(max(row["high"] for row in values) - bottom, 1e-9)
    taken: list[tuple[float, float, float]] = []  # left end, right end, middle
    for row in values:
        x, y = _WIDTH_PX * (row[cost] - lowest) / span, -_SCATTER_PX * (row["accuracy"] - bottom) / height
        width = _CHARACTER_PX * len(row["stage"])
        ends = (x - width, x) if row["left"] else (x, x + width)
        row["dy"] = next(dy for dy in _HEIGHTS if not any(_meets(ends, y + dy, other) for other in taken))
        taken.append((*ends, y + row["dy"]))


def _meets(ends: tuple[float, float], y: float, other: tuple[float, float, float]) -> bool:
    return ends[0] < other[1] and other[0] < ends[1] and abs(y - other[2]) < _LINE_PX


_CHARACTER_PX, _LINE_PX = 7.0, 13
_HEIGHTS = tuple(dy for step in range(60) for dy in (-9 - _LINE_PX * step, 11 + _LINE_PX * step))


def _tags(base: alt.Chart, values: list[dict[str, Any]]) -> list[alt.Chart]:
    """Return the points' names, to the side that has room."""
    return [
        base.mark_text(align="right" if left else "left", dx=-8 if left else 8, dy=dy, color="var(--ink)")
        .encode(text="stage:N")
        .transform_filter(f"datum.left === {str(left).lower()} && datum.dy === {dy}")
        for left, dy in sorted({(row["left"], row["dy"]) for row in values})
    ]


def _before_after(rows: Sequence[tuple[str, float, float]], what: str) -> alt.TopLevelMixin:
    """Return a line from before to after for each class, of (class, before, after); losses are drawn as such."""
    values = [
        {"label": label, "before": before, "after": after, "tone": _tone(after - before)}
        for label, before, after in rows
    ]
    base = _chart(values).encode(y=row_names("label"))
    colour = alt.Color("tone:N", scale=None)
    title = f"{what}, %: before (ring) and after (dot)"
    x = alt.X("before:Q", title=title, scale=alt.Scale(zero=False, padding=12))
    line = base.mark_rule(strokeWidth=3).encode(x=x, x2="after:Q", color=colour)
    ring = base.mark_point(size=60, filled=False, color="var(--soft)").encode(x="before:Q")
    dot = base.mark_circle(size=60, opacity=1).encode(x="after:Q", color=colour)
    return alt.layer(line, ring, dot).properties(width=_WIDTH_PX, height=0.85 * _ROW_PX * len(values))


def _tone(change: float) -> str:
    return "var(--bad)" if change < 0 else "var(--good)" if change > 0 else "var(--soft)"


def _classes(report: Report, stage: str) -> alt.TopLevelMixin | None:
    """Return the mAP of the classes that lost most from the baseline to a stage."""
    worth = [(one.label, one.map_pct[str(report.baseline)], one.map_pct.get(stage)) for one in report.classes]
    rows = [(label, before, after) for label, before, after in worth if after is not None]
    rows.sort(key=lambda row: row[2] - row[1])
    return _before_after(rows[:_CLASSES], "mAP") if rows else None


def _precisions(curves: Sequence[PrecisionCurve]) -> dict[str, alt.TopLevelMixin | None]:
    if not curves:
        return {}
    charts: dict[str, alt.TopLevelMixin | None] = {
        "precision": _precision({curve.stage: curve.mean for curve in curves})
    }
    for label in curves[0].classes:
        of_class = {curve.stage: curve.classes[label] for curve in curves if label in curve.classes}
        charts[f"precision-{label}"] = _precision(of_class)
    return charts


def _precision(curves: Mapping[str, Sequence[float]]) -> alt.TopLevelMixin:
    """Return precision against recall, a line a model; the baseline, the first one, is dashed and lies on top."""
    stages = list(curves)
    points = [
        {"stage": stage, "recall": 100 * place / (RECALLS - 1), "precision": 100 * value}
        for stage in reversed(stages)
        for place, value in enumerate(curves[stage])
    ]
    legend = alt.Legend(title=None, orient="bottom", columns=1, labelColor="var(--ink)", labelFontSize=12)
    whole = alt.Scale(domain=[0, 100])
    colour = alt.Scale(domain=stages, range=list(_TONES[: len(stages)]))
    dash = alt.Scale(domain=stages, range=[[5, 4], *([[1, 0]] * (len(stages) - 1))])
    line = (
        _chart(points)
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("recall:Q", title="recall, %", scale=whole),
            y=alt.Y("precision:Q", title="precision, %", scale=whole),
            color=alt.Color("stage:N", scale=colour, legend=legend),
            strokeDash=alt.StrokeDash("stage:N", scale=dash, legend=legend),
        )
    )
    return alt.layer(line).properties(width=_WIDTH_PX + 40, height=_SCATTER_PX)


def _curve(curve: Curve, field: str, title: str) -> alt.TopLevelMixin:
    values = [point.model_dump() | {"val_pct": point.val_pct} for point in curve.epochs]
    x = alt.X(
        "epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d"), scale=alt.Scale(padding=8, nice=False)
    )
    y = alt.Y(f"{field}:Q", title=title, scale=alt.Scale(zero=False))
    line = _chart(values).mark_line(color="var(--bar)", point=alt.OverlayMarkDef(color="var(--bar)")).encode(x=x, y=y)
    return alt.layer(line).properties(width=_WIDTH_PX + 40, height=150)


def _layers(costs: LayerCosts) -> alt.TopLevelMixin:
    """Return one bar for each of the dearest layers, with its divergence."""
    return bars([(one.name, one.kl, digits_text(one.kl)) for one in costs.layers[:_LAYERS]], PAGE)


def _cuts(costs: LayerCosts) -> alt.TopLevelMixin:
    """Return a heat map of the dearest groups."""
    dearest = costs.layers[:_LAYERS]
    cuts = [(one.name, cut.keep, cut.drop_pp) for one in dearest for cut in one.cuts]
    return heat_map([one.name for one in dearest], cuts, PAGE)
