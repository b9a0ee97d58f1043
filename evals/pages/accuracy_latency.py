"""README's table and chart: accuracy against latency, our int8 files and the other tools', each in one runtime.

`python -m evals.pages.accuracy_latency README.md` makes both from `docs/results/data/int8.json` and measures nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from compress.core.storage import write_text
from compress.errors import ImgcError, UsageError
from compress.report.table import markdown_table
from evals.pages.pages import DOCS, data_path
from evals.results.behind import Row, middle
from evals.results.markdown import measured_text, replace_block
from evals.results.schema import Block, ResultFile, read_results
from evals.sentences.int8 import OURS, WITHOUT_TRAINING, pairs

MARKER = "results"
CHART = "accuracy-latency.svg"
_PREFIX = "clothing_int8_"
_NETWORKS = {
    "mobilenetv2": "MobileNetV2",
    "mobilenetv3_small": "MobileNetV3-Small",
    "squeezenet1_1": "SqueezeNet 1.1",
}
_RUNTIMES = {"onnxruntime": "ONNX Runtime", "litert": "LiteRT"}
_TOOLS = {  # start of a row's name -> name in the legend, colour (Okabe and Ito's, which the colour-blind tell apart)
    f"{OURS}{WITHOUT_TRAINING}": ("imgc, without training", "#d55e00"),
    f"{OURS}qat": ("imgc, trained in int8", "#e69f00"),
    "ONNX Runtime quantize_static, per channel": ("ONNX Runtime, per channel", "#0072b2"),
    "ONNX Runtime quantize_static, per tensor": ("ONNX Runtime, per tensor", "#56b4e9"),
    "NNCF": ("NNCF", "#009e73"),
    "torchao": ("torchao PT2E", "#cc79a7"),
    "TFLite converter": ("TFLite converter", "#000000"),
}
_COLUMNS = ("network", "runtime", "imgc top-1 %", "ms", "most accurate other tool", "top-1 %", "ms")
_BELOW_PP = 10  # an accuracy further below the greatest stands at the lower edge, with its number
_INK, _GRID_COLOUR = "#222222", "#dddddd"
_WIDTH_PX, _HEIGHT_PX = 330, 300


def networks(results: ResultFile) -> list[Block]:
    """Return the blocks of trained networks.

    Raises:
        UsageError: there is none.
    """
    found = [block for block in results.blocks if block.key.startswith(_PREFIX)]
    if not found:
        raise UsageError(f"docs/results/data/{results.name}.json: holds no block {_PREFIX}*", hint="make results-int8")
    return found


def small_table(blocks: Sequence[Block]) -> str:
    """Return README's table: for each network and runtime ours without training, and the most accurate other tool."""
    rows: list[tuple[str, ...]] = []
    for block in blocks:
        beside = pairs(block.rows)
        for runtime, title in _RUNTIMES.items():
            there = [(own, other) for own, other in beside if str(own["runtime"]).startswith(runtime)]
            if there:
                own, other = max(there, key=lambda pair: (_number(pair[1], "top1_pct"), -_number(pair[1], "ms")))
                rows.append((_network(block), title, *_numbers(own), str(other["model"]), *_numbers(other)))
    return markdown_table(_COLUMNS, rows, 2)


def readme_block(results: ResultFile) -> str:
    """Return the generated text: the table, and how it was measured."""
    blocks = networks(results)
    counts = "/".join(map(str, sorted({count for block in blocks for count in block.n.values()})))
    measured = " ".join(sorted({measured_text(block.measured) for block in blocks}))
    measured = measured.replace("(measuring.md)", f"({DOCS}/measuring.md)")
    text = (
        f"In the table: int8 files made without training. n = {counts} images (validation and test), one thread, batch "
        f"1, each time beside others of the same runtime. {measured} "
        f"All rows, also where another tool is ahead: [{DOCS}/{results.name}.md]({DOCS}/{results.name}.md)."
    )
    return "\n\n".join((small_table(blocks), text))


def points(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """Return a point for each int8 file: panel, network, tool, milliseconds, top-1, and where it is drawn.

    Raises:
        UsageError: a row is of no tool that has a colour.
    """
    found = []
    for block in blocks:
        for row in block.rows:
            if middle(row.get("ms")) is not None and middle(row.get("top1_pct")) is not None:
                found.append(_point(block, row))
    floor = max(point["top1"] for point in found) - _BELOW_PP
    for point in found:
        below = point["top1"] < floor
        point["drawn"] = floor if below else point["top1"]
        point["note"] = f"↓ {point['top1']:.1f} %" if below else ""
    return found


def drawing(blocks: Sequence[Block]) -> str:
    """Return the chart as SVG: a panel for each runtime, on white, so that it can be read on light and dark pages."""
    values = points(blocks)
    floor, top = min(point["drawn"] for point in values), max(point["top1"] for point in values)
    tools = [tool for tool in _TOOLS.values() if any(point["tool"] == tool[0] for point in values)]
    slowest, fastest = max(point["ms"] for point in values), min(point["ms"] for point in values)
    base = alt.Chart().encode(
        x=alt.X(
            "ms:Q",
            title="milliseconds for one image",
            scale=alt.Scale(type="log", domain=[fastest / 1.2, slowest * 1.4], nice=False),
            axis=alt.Axis(values=[0.5, 1, 2, 5, 10], format="~g"),
        ),
        y=alt.Y("drawn:Q", title="top-1, %", scale=alt.Scale(domain=[floor - 0.6, top + 0.8], nice=False)),
    )
    shapes = base.mark_point(filled=True, size=110, opacity=0.9, stroke="white", strokeWidth=0.6).encode(
        color=alt.Color(
            "tool:N",
            title="int8 by",
            scale=alt.Scale(domain=[name for name, _ in tools], range=[colour for _, colour in tools]),
        ),
        shape=alt.Shape(
            "network:N",
            title="network",
            scale=alt.Scale(domain=list(_NETWORKS.values()), range=["circle", "square", "triangle-up"]),
            legend=alt.Legend(symbolFillColor=_INK, symbolStrokeColor=_INK),
        ),
    )
    notes = base.mark_text(dy=-13, color=_INK, fontSize=12).encode(text="note:N")
    panels = alt.layer(shapes, notes, data={"values": values}).properties(width=_WIDTH_PX, height=_HEIGHT_PX)
    chart = panels.facet(column=alt.Column("runtime:N", title=None, sort=list(_RUNTIMES.values())))
    svg: str = vl_convert.vegalite_to_svg({**chart.to_dict(), "config": _config(), "padding": 14})
    return svg


def _config() -> dict[str, Any]:
    text = {"labelColor": _INK, "titleColor": _INK, "labelFontSize": 13, "titleFontSize": 13}
    return {
        "background": "white",
        "font": "system-ui, sans-serif",
        "view": {"stroke": _GRID_COLOUR},
        "axis": {
            **text,
            "gridColor": _GRID_COLOUR,
            "domainColor": _INK,
            "tickColor": _INK,
            "titleFontWeight": "normal",
        },
        "header": {**text, "labelFontSize": 15, "labelFontWeight": "bold"},
        "legend": {**text, "labelLimit": 240, "symbolSize": 110},
    }


def _point(block: Block, row: Row) -> dict[str, Any]:
    tool = next((tool for start, (tool, _) in _TOOLS.items() if str(row["model"]).startswith(start)), None)
    runtime = next((title for start, title in _RUNTIMES.items() if str(row["runtime"]).startswith(start)), None)
    if tool is None or runtime is None:
        raise UsageError(f"block {block.key!r}: no colour or panel for {row['model']} ({row['runtime']})")
    return {
        "runtime": runtime,
        "network": _network(block),
        "tool": tool,
        "ms": _number(row, "ms"),
        "top1": _number(row, "top1_pct"),
    }


def _network(block: Block) -> str:
    name = block.key.removeprefix(_PREFIX)
    return _NETWORKS.get(name, name)


def _number(row: Row, key: str) -> float:
    value = middle(row.get(key))
    return float("-inf") if value is None else value


def _numbers(row: Row) -> tuple[str, str]:
    return f"{_number(row, 'top1_pct'):.2f}", f"{_number(row, 'ms'):.2f}"


def main(readme: Path, docs: Path = DOCS) -> None:
    """Draw the chart and write README's block.

    Raises:
        UsageError: the JSON is not there, or README lacks its markers.
    """
    results = read_results(data_path("int8", docs))
    text = replace_block(readme.read_text(encoding="utf-8"), readme_block(results), MARKER)
    write_text(docs / CHART, drawing(networks(results)))
    write_text(readme, text)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except ImgcError as error:
        sys.exit(f"{error.message}\n{error.hint}")
