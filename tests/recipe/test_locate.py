from __future__ import annotations

import json
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compress.core.yaml_nodes import parse
from compress.recipe.locate import located, nearest_word


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Loop(_Strict):
    epochs: int = 1


class A(_Strict):
    kind: Literal["a"]
    loop: Loop | None = None
    sizes: tuple[int, ...] = ()
    either: int | str | None = None
    from_: str = Field(default="", alias="from")


class B(_Strict):
    kind: Literal["b"]


class Doc(_Strict):
    stages: tuple[Annotated[A | B, Field(discriminator="kind")], ...]


@pytest.mark.parametrize(
    ("stage", "expected", "hint"),
    [
        (
            "{kind: a, loop: {epohcs: 1}}",
            "r:1:27: stage 1 (a): loop: unknown key 'epohcs'; allowed: epochs",
            "'epochs'",
        ),
        ("{kind: a, sizes: [1, x]}", "r:1:31: stage 1 (a): sizes.1: should be a valid integer", ""),
        (
            "{kind: a, form: x}",
            "r:1:20: stage 1 (a): unknown key 'form'; allowed: kind, loop, sizes, either, from",
            "'from'",
        ),
        ("{kind: a, either: [1]}", "r:1:28: stage 1 (a): either: should be a valid integer, found a list", ""),
        ("{kind: a, loop: 3}", "r:1:26: stage 1 (a): loop: should be an object, found 3", ""),
        ("{kind: c}", "r:1:17: stage 1 (c): unknown kind 'c'; allowed: a, b", ""),
    ],
)
def test_the_message_says_where_what_and_what_is_allowed(stage, expected, hint):
    root = parse(f"stages: [{stage}]", "r")
    with pytest.raises(ValidationError) as failure:
        Doc.model_validate_json(json.dumps(root.plain()), strict=True)
    error = located(failure.value, root, Doc)
    assert error.message.startswith(expected)
    assert hint in error.hint


def test_many_faults_are_cut_short():
    root = parse("stages: [" + ", ".join(["{kind: a, x: 1}"] * 14) + "]", "r")
    with pytest.raises(ValidationError) as failure:
        Doc.model_validate_json(json.dumps(root.plain()), strict=True)
    lines = located(failure.value, root, Doc).message.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "... and 4 more"


def test_nearest_word():
    assert nearest_word("kep", ["keep", "round_to"]) == "keep"
    assert nearest_word("zzz", ["keep"]) == ""
