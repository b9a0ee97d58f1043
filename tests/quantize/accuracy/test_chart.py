from xml.etree import ElementTree

from compress.quantize.accuracy.chart import bars_svg


def test_bars_are_as_long_as_their_values_say():
    root = ElementTree.fromstring(bars_svg("a < b", [("one & two", 4.0, "4"), ("three", 1.0, "1"), ("four", 0.0, "0")]))
    rects = [node for node in root.iter() if node.tag.endswith("rect") and node.get("x")]
    bars = [float(node.get("width")) for node in rects]
    assert bars[0] == 4 * bars[1] > 0 == bars[2]
    assert [node.text for node in root.iter() if node.tag.endswith("text")][:2] == ["a < b", "one & two"]


def test_nothing_to_show():
    ElementTree.fromstring(bars_svg("none", []))
    ElementTree.fromstring(bars_svg("zeros", [("a", 0.0, "0")]))
