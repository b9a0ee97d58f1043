from __future__ import annotations

import pytest

from compress.core.names import few


@pytest.mark.parametrize(
    ("names", "line"),
    [([], ""), (["a"], "a"), (["a", "b", "c"], "a, b, c"), (["a", "b", "c", "d", "e"], "a, b, c and 2 more")],
)
def test_the_first_names_are_written_and_the_others_counted(names, line):
    assert few(names, 3) == line


def test_five_names_are_written_where_nothing_is_said():
    assert few(tuple("abcdefg")) == "a, b, c, d, e and 2 more"
