"""README's chart and table: made from the committed JSON, every file a point, every label dark on white."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("altair")
pytest.importorskip("vl_convert")

from compress.errors import UsageError
from evals.pages.accuracy_latency import (
    CHART,
    MARKER,
    drawing,
    main,
    networks,
    points,
    readme_block,
    small_table,
)
from evals.pages.pages import DOCS, data_path
from evals.results.markdown import replace_block
from evals.results.schema import ResultFile, read_results
from tests.evals.blocks import block

ROOT = Path(__file__).parents[3]
ROWS = [
    {"model": "fp32", "runtime": "torch", "top1_pct": 90.0},
    {"model": "imgc ptq", "runtime": "onnxruntime 1", "top1_pct": 89.0, "ms": 1.0},
    {"model": "imgc ptq-tflite", "runtime": "litert 2", "top1_pct": 89.0, "ms": 0.9},
    {"model": "imgc qat", "runtime": "onnxruntime 1", "top1_pct": 89.5, "ms": 1.0},
    {"model": "NNCF quantize", "runtime": "onnxruntime 1", "top1_pct": 88.0, "ms": 2.0},
    {"model": "torchao PT2E", "runtime": "onnxruntime 1", "top1_pct": 88.0, "ms": 1.5},
    {"model": "ONNX Runtime quantize_static, per tensor", "runtime": "onnxruntime 1", "top1_pct": 17.0, "ms": 1.1},
    {"model": "TFLite converter", "runtime": "litert 2", "top1_pct": 80.0, "ms": 3.0},
]


@pytest.fixture
def blocks():
    return [block(ROWS, key="clothing_int8_squeezenet1_1", texts=("model", "runtime"))]


@pytest.fixture(scope="module")
def committed() -> ResultFile:
    return read_results(data_path("int8", ROOT / DOCS))


def test_readme_is_what_the_json_says(committed):
    text = (ROOT / "README.md").read_text()
    assert text == replace_block(text, readme_block(committed), MARKER), "make results"


def test_the_committed_picture_has_every_file_of_the_json(committed):
    drawn = (ROOT / DOCS / CHART).read_text()
    found = points(networks(committed))
    assert len(found) >= 20
    assert sorted(_labels(drawn)) == sorted(_labels(drawing(networks(committed)))), "make results"
    assert len(_labels(drawn)) == len(found)


def _labels(svg: str) -> list[str]:
    """Return what the drawing says of each of its points."""
    return [label for label in re.findall('aria-label="([^"]*)"', svg) if "int8 by: " in label]


@pytest.mark.parametrize("which", ["made up", "committed"])
def test_every_text_is_dark_on_white(which, blocks):
    svg = drawing(blocks) if which == "made up" else (ROOT / DOCS / CHART).read_text()
    assert re.search(r'<rect [^>]*fill="white"', svg)
    texts = re.findall(r"<text [^>]*>", svg)
    assert len(texts) > 15
    assert {re.search(r'fill="([^"]*)"', text)[1] for text in texts} == {"#222222"}
    assert all(float(size) >= 12 for size in re.findall(r'font-size="([\d.]+)px"', svg))


def test_each_runtime_has_its_panel_and_each_tool_one_colour(blocks):
    svg = drawing(blocks)
    for words in ("ONNX Runtime", "LiteRT", "imgc, without training", "NNCF", "SqueezeNet 1.1"):
        assert f">{words}</text>" in svg
    assert "ONNX Runtime, per channel" not in svg, "a tool without a file has no place in the legend"
    assert {point["runtime"] for point in points(blocks)} == {"ONNX Runtime", "LiteRT"}


def test_what_lies_far_below_stands_at_the_edge_with_its_number(blocks):
    (low,) = [point for point in points(blocks) if point["note"]]
    assert (low["top1"], low["drawn"], low["note"]) == (17.0, 79.5, "↓ 17.0 %")
    assert "↓ 17.0 %" in drawing(blocks)


def test_the_table_has_ours_and_the_most_accurate_other_of_the_same_runtime(blocks):
    assert small_table(blocks).splitlines()[2:] == [
        "| SqueezeNet 1.1 | ONNX Runtime | 89.00 | 1.00 | torchao PT2E | 88.00 | 1.50 |",
        "| SqueezeNet 1.1 | LiteRT | 89.00 | 0.90 | TFLite converter | 80.00 | 3.00 |",
    ]


def test_a_tool_without_a_colour_is_refused(blocks):
    rows = [{"model": "another", "runtime": "onnxruntime 1", "top1_pct": 1.0, "ms": 1.0}]
    with pytest.raises(UsageError, match="no colour or panel for another"):
        points([block(rows, texts=("model", "runtime"))])
    with pytest.raises(UsageError, match="holds no block"):
        networks(ResultFile(name="int8", command="make x", blocks=()))


def test_readme_alone_is_rewritten_between_its_markers(tmp_path):
    readme, docs = tmp_path / "README.md", tmp_path / "docs"
    (docs / "data").mkdir(parents=True)
    data_path("int8", docs).write_bytes(data_path("int8", ROOT / DOCS).read_bytes())
    readme.write_text("a\n<!-- results:begin -->\nold\n<!-- results:end -->\nb\n")
    main(readme, docs)
    text = readme.read_text()
    assert text.startswith("a\n")
    assert text.endswith("b\n")
    assert "\nold\n" not in text
    assert "(docs/results/measuring.md)" in text
    assert (docs / CHART).read_text().startswith("<svg")
