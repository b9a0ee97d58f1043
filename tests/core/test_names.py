from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from compress.core.names import StageId, few, is_inside


class Named(BaseModel):
    stage: StageId


@pytest.mark.parametrize("name", ["a", "a/b.onnx", "01-train/model.safetensors", "...", "a..b/c", "./a", "ä b/c"])
def test_paths_that_stay_inside(name: str):
    assert is_inside(name)


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/../../b", "a/..", "/etc/passwd", "//a", "a\0b", "a\\..\\b"])
def test_paths_that_do_not(name: str):
    assert not is_inside(name)


@pytest.mark.parametrize("name", ["../../pwn/x", "A", "", "a/b", "a\n", "-a", "a" * 49, "ä"])
def test_what_is_no_id_of_a_stage(name: str):
    with pytest.raises(ValidationError):
        Named(stage=name)


@pytest.mark.parametrize(
    ("names", "line"),
    [([], ""), (["a"], "a"), (["a", "b", "c"], "a, b, c"), (["a", "b", "c", "d", "e"], "a, b, c and 2 more")],
)
def test_the_first_names_are_written_and_the_others_counted(names, line):
    assert few(names, 3) == line


def test_five_names_are_written_where_nothing_is_said():
    assert few(tuple("abcdefg")) == "a, b, c, d, e and 2 more"
