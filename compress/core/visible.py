"""Text from outside, made harmless: what a terminal would obey, or a reader would not see, is written out.

Names of classes, files, nodes and hosts are other people's text. A class folder may be called `ESC [ 2 J`, which clears
the screen, and is no character of XML; U+202E turns the rest of a line around.
"""

from __future__ import annotations

import unicodedata
from typing import Any

# Cc control, Cf format (marks of direction, of width 0), Cs half a character, Co private, Zl and Zp ends of lines
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_ALIKE = ("CYRILLIC ", "GREEK ", "ARMENIAN ", "CHEROKEE ", "FULLWIDTH LATIN ")
_JOINERS = "\u200c\u200d"  # Persian words and some emoji are written with them


def visible(text: str, keep: str = "") -> str:
    r"""Return the text with each character that is obeyed or not seen as its escape: `\x1b`, `\u202e`.

    Args:
        text: anything.
        keep: characters that are left, such as line ends where the text is a whole message.
    """
    if text.isascii() and text.isprintable():
        return text
    kept = keep + _JOINERS
    return "".join(repr(one)[1:-1] if unicodedata.category(one) in _HIDDEN and one not in kept else one for one in text)


def spelled(text: str) -> str:
    """Return a name for a message about it; where it mixes alphabets, the letters that only look Latin as escapes."""
    shown = visible(text)
    if not mixed_alphabets(shown):
        return shown
    return "".join(one.encode("unicode_escape").decode() if _is_alike(one) else one for one in shown)


def visible_values(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value whose texts, keys among them, are `visible`."""
    if isinstance(value, str):
        return visible(value, keep="\n")
    if isinstance(value, dict):
        return {visible_values(key): visible_values(one) for key, one in value.items()}
    return [visible_values(one) for one in value] if isinstance(value, list) else value


def mixed_alphabets(text: str) -> str:
    """Return how the first letter is called that only looks Latin in a name with Latin letters; "" without one."""
    alike = next((one for one in text if _is_alike(one)), "")
    return unicodedata.name(alike) if alike and any(one.isascii() and one.isalpha() for one in text) else ""


def _is_alike(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(_ALIKE)
