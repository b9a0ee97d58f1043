from __future__ import annotations

from xml.etree import ElementTree

from compress.prune.heat_map import heat_map_svg
from compress.prune.sensitivity import LEVELS, GroupSensitivity, WidthPoint

SVG = "{http://www.w3.org/2000/svg}"


def _found(curves):
    points = {root: tuple(WidthPoint(*row) for row in rows) for root, rows in curves.items()}
    return GroupSensitivity(64, WidthPoint(0, 1.0, 90.0, 0.4), points, {root: (root,) for root in points})


CURVES = {
    "first<&>": [(28, 0.875, 89.0, 0.5), (16, 0.5, 80.0, 0.9), (8, 0.25, 20.0, 4.0)],
    "gains": [(28, 0.875, 91.0, 0.3)],
    "narrow": [],
    "odd": [(13, 0.619, 90.0, 0.4)],
}


def _cells(svg):
    root = ElementTree.fromstring(svg)
    return root, [rect for rect in root.iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]


def test_one_cell_a_point_in_the_column_of_its_share():
    root, cells = _cells(heat_map_svg("a < b", _found(CURVES)))
    assert [cell.find(f"{SVG}title").text for cell in cells] == [
        "28 channels: 1.00 points",
        "16 channels: 10.00 points",
        "8 channels: 70.00 points",
        "28 channels: -1.00 points",
        "13 channels: 0.00 points",
    ]
    columns = sorted({int(cell.get("x")) for cell in cells})
    step = 64
    left = columns[0]
    assert [(int(cell.get("x")) - left) // step for cell in cells] == [
        LEVELS.index(share) for share in (0.875, 0.5, 0.25, 0.875, 0.625)
    ]
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts[0] == "a < b"
    assert texts[1 : 1 + len(LEVELS)] == [f"{100 * level:g} %" for level in LEVELS]
    assert [name for name in CURVES if name in texts] == list(CURVES)
    assert max(int(cell.get("x")) + step for cell in cells) < int(root.get("width"))
    assert max(int(cell.get("y")) + 20 for cell in cells) < int(root.get("height"))


def test_the_worst_cell_is_the_reddest_and_no_loss_is_white():
    _, cells = _cells(heat_map_svg("t", _found(CURVES)))
    greens = [int(cell.get("fill")[3:5], 16) for cell in cells]  # less green is more red
    drops = [1.0, 10.0, 70.0, -1.0, 0.0]
    assert greens[drops.index(70.0)] == min(greens) < 60
    assert greens[drops.index(1.0)] > greens[drops.index(10.0)] > greens[drops.index(70.0)]
    assert {greens[3], greens[4]} == {255}


def test_a_network_that_loses_nothing_has_a_white_map():
    _, cells = _cells(heat_map_svg("t", _found({"a": [(8, 0.5, 90.0, 0.4)]})))
    assert [cell.get("fill") for cell in cells] == ["#ffffff"]
    assert _cells(heat_map_svg("t", _found({})))[1] == []
