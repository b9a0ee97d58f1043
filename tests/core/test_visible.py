"""Text from outside: what a terminal would obey, or a reader would not see, is written out."""

from __future__ import annotations

import pytest

from compress.core.spec import ModelSpec
from compress.core.visible import mixed_alphabets, spelled, visible, visible_values
from tests.tiny_files import PREPROCESS


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 10 %", "plain text, 10 %"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x9b2J", r"\x9b2J"),
        ("abc\u202efed", r"abc\u202efed"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
        ("half \ud800", r"half \ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("café, 猫, кот", "café, 猫, кот"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_what_is_obeyed_or_not_seen_is_written_out(text: str, shown: str):
    assert visible(text) == shown
    assert visible(shown) == shown
    shown.encode()


def test_a_message_keeps_its_lines():
    assert visible("first\n\x1bsecond", keep="\n") == "first\n\\x1bsecond"


@pytest.mark.parametrize(
    ("name", "shown", "letter"),
    [
        ("train", "train", ""),
        ("tr\u0430in", r"tr\u0430in", "CYRILLIC SMALL LETTER A"),
        ("\uff41bc", r"\uff41bc", "FULLWIDTH LATIN SMALL LETTER A"),
        ("кот", "кот", ""),
        ("café", "café", ""),
    ],
)
def test_letters_that_only_look_latin_are_told(name: str, shown: str, letter: str):
    assert spelled(name) == shown
    assert mixed_alphabets(name) == letter


def test_values_of_json_are_made_visible_with_their_keys():
    value = {"a\x1b": ["\x1b", 1, None, {"k": "line\nline"}]}
    assert visible_values(value) == {"a\\x1b": ["\\x1b", 1, None, {"k": "line\nline"}]}


def test_labels_of_a_model_are_visible_from_the_start():
    spec = ModelSpec(arch="x\x1b", labels=("a\nb", "c"), input_chw=(3, 16, 16), preprocess=PREPROCESS)
    assert (spec.arch, spec.labels) == ("x\\x1b", ("a\\nb", "c"))
