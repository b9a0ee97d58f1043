"""What a reader sees of a page, and the numbers in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

from compress.report.numbers import count_text, digits_text, number_text, size_text

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
PROSE = ("top-1", "95 %", "IoU 0.50:0.95", "IoU 0.50")  # names of what is measured, not measurements
_VOID = {"meta", "link", "img", "br", "path", "line", "circle", "rect"}


class PageText(HTMLParser):
    """Collects text nodes, but for styles and the axes of drawings."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.headings: list[int] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[tuple[str, bool]] = []
        self.feed(page)
        self.close()
        assert self._open == [], f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        self.tags.append((tag, facts))
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in _VOID:
            hidden = tag == "style" or "role-axis" in (facts.get("class") or "").split()
            self._open.append((tag, hidden))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1][0] == tag, f"</{tag}> closes <{self._open[-1][0]}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and not any(hidden for _, hidden in self._open):
            self.texts.append(data.strip())


def numbers(text: str) -> set[str]:
    for phrase in PROSE:
        text = text.replace(phrase, "")
    return set(NUMBER.findall(text))


def told(value: Any) -> Iterator[str]:
    """Yield every number of JSON data as a page may show it: in all roundings, and those inside of texts."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from numbers(key)
            yield from told(one)
    elif isinstance(value, list):
        for one in value:
            yield from told(one)
    elif isinstance(value, str):
        yield from numbers(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _roundings(value)


def _roundings(value: float) -> Iterator[str]:
    texts = [str(value), digits_text(value), f"{value:.10g}", f"{value:.2e}"]
    texts += [number_text(value, digits) for digits in (0, 1, 2, 3, 4)]
    if isinstance(value, int):
        texts += [size_text(value), count_text(value), f"{value / (1 << 20):.0f}"]
    for text in texts:
        yield from numbers(text)
