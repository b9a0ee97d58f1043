"""Bars and the heat map, read back from the SVG that a browser would show."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from compress.charts.layer_costs import FILE, PAGE, bars, heat_map, to_svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(chart, paper=FILE, title=""):
    root = ElementTree.fromstring(to_svg(chart, paper, title))
    return root, [text.text for text in root.iter(f"{SVG}text")]


def marks(root, colour):
    return [path for path in root.iter(f"{SVG}path") if path.get("fill") == colour]


def width(path) -> float:
    """Return the width of a rectangle's path `Mx,yhWvHh-WZ`."""
    return float(path.get("d").split("h")[1].split("v")[0])


def test_bars_are_as_long_as_their_values_say():
    rows = [("one & <two>", 4.0, "4"), ("three", 1.0, "1"), ("four", 0.0, "0"), ("none", None, "")]
    root, texts = drawn(bars(rows, FILE), title="a < b")
    lengths = [width(path) for path in marks(root, FILE.bar)]
    assert lengths[0] == pytest.approx(4 * lengths[1])
    assert lengths[1] > 0 == lengths[2]
    assert [name for name, _, _ in rows if name in texts] == ["one & <two>", "three", "four"]
    assert "a < b" in texts


@pytest.mark.parametrize("rows", [[], [("a", 0.0, "0")], [("a", None, "")]])
def test_bars_of_nothing_are_drawn_too(rows):
    root, _ = drawn(bars(rows, FILE))
    assert [width(path) for path in marks(root, FILE.bar) if width(path) > 0] == []


def test_one_cell_a_cut_in_the_column_of_its_share_and_an_empty_row_for_a_group_without():
    cuts = [("a", 0.875, 1.0), ("a", 0.5, 10.0), ("a", 0.25, 70.0), ("gains", 0.875, -1.0), ("odd", 0.619, 0.0)]
    root, texts = drawn(heat_map(["a", "gains", "narrow", "odd"], cuts, FILE))
    assert [text for text in texts if text in {"a", "gains", "narrow", "odd"}] == ["a", "gains", "narrow", "odd"]
    assert [text for text in texts if "." in text] == ["1.0", "10.0", "70.0", "-1.0", "0.0"]
    assert [text for text in texts if text in {"7", "5", "4", "2"}] == ["7", "5", "4", "2"], "from wide to narrow"
    assert len(marks(root, FILE.bad)) == len(cuts)


def test_the_worst_cell_is_the_darkest_and_no_loss_the_lightest():
    cuts = [("a", 0.875, 1.0), ("a", 0.5, 10.0), ("a", 0.25, 70.0), ("b", 0.875, -1.0), ("b", 0.5, 0.0)]
    root, _ = drawn(heat_map(["a", "b"], cuts, FILE))
    little, more, most, gain, none = (float(cell.get("opacity")) for cell in marks(root, FILE.bad))
    assert most > more > little > none
    assert none == gain


def test_of_two_cuts_in_one_column_the_dearer_is_shown():
    _, texts = drawn(heat_map(["a"], [("a", 0.5, 31.5), ("a", 0.52, 14.25)], FILE))
    assert "31.5" in texts
    assert "14.2" not in texts


def test_no_group_is_an_empty_map():
    root, _ = drawn(heat_map([], [], FILE))
    assert marks(root, FILE.bad) == []


def test_a_page_gives_its_own_colours():
    svg = to_svg(bars([("a", 1.0, "1")], PAGE), PAGE)
    assert 'fill="var(--bar)"' in svg
    assert FILE.bar not in svg
