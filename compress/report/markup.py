"""The few elements that report.html is made of. Whatever comes from outside is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape as escape_html

from compress.core.visible import visible

__all__ = ["definitions", "details", "escape", "figures", "paragraph", "preformatted", "section", "table"]


def escape(text: str) -> str:
    """Return text from outside as HTML: markup as text, and what is obeyed or not seen as its escape."""
    return escape_html(visible(text, keep="\n\t"))


def section(title: str, *parts: str) -> str:
    """Return a card with a heading; empty when all parts are."""
    body = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>" if body else ""


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph of a CSS class; empty without text."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{escape(text)}</p>" if text else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> str:
    """Return a table that scrolls sideways by itself; the first columns stand left. Empty without rows."""
    lines = ["".join(_cell("td", cell, index < text_columns) for index, cell in enumerate(row)) for row in rows]
    head = "".join(_cell("th", cell, index < text_columns) for index, cell in enumerate(header))
    if not lines:
        return ""
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return (
        '<div class="wide" tabindex="0"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def figures(drawings: Mapping[str, str], captions: Mapping[str, str]) -> str:
    """Return the drawings that there are, side by side where there is room.

    Args:
        drawings: name -> SVG.
        captions: name -> what is to be seen; these are shown, in this order.
    """
    shown = [_figure(drawings[name], caption) for name, caption in captions.items() if name in drawings]
    return '<div class="figures">\n' + "\n".join(shown) + "\n</div>" if shown else ""


def definitions(pairs: Iterable[tuple[str, str]], kind: str = "") -> str:
    """Return names with their values; empty without pairs."""
    attribute = f' class="{kind}"' if kind else ""
    lines = [f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs]
    return f"<dl{attribute}>\n" + "\n".join(lines) + "\n</dl>" if lines else ""


def details(summary: str, body: str) -> str:
    """Return what is unfolded on demand; empty without a body."""
    return f"<details><summary>{escape(summary)}</summary>\n{body}\n</details>" if body else ""


def preformatted(text: str) -> str:
    """Return text as it stands; empty without text."""
    return f'<pre tabindex="0">{escape(text.rstrip())}</pre>' if text else ""


def _figure(svg: str, caption: str) -> str:
    named = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(caption)}" ', 1)
    return f"<figure><figcaption>{escape(caption)}</figcaption>{named}</figure>"


def _cell(tag: str, text: str, is_text: bool) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    kind = ' class="text"' if is_text else ""
    return f"<{tag}{scope}{kind}>{escape(text)}</{tag}>"
