"""Options that are made from the fields of a config."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from compress.cli.knobs import checked, command_with, given_knobs, help_for
from compress.cli.main import app
from compress.errors import UsageError
from compress.recipe.schema import stage_kinds

Share = Annotated[float, Field(gt=0, le=1)]


class Block(BaseModel):
    size: int = Field(default=3, ge=1, lt=9, description="Size of it, in pixels. More is said here.")


class Toy(BaseModel):
    keep_all: Share | None = Field(default=None, description="Share that is kept. Default without another: 0.7.")
    mode: Literal["a", "b"] = Field(default="a", description="How it is done.")
    names: tuple[str, ...] = Field(default=(), description="Names that count.")
    loud: bool = Field(default=False, description="Also say it.")
    check: bool = Field(default=True, description="Also check it.")
    place: Path | None = Field(default=None, description="Where it lies.")
    inner: Block = Field(default=Block(), description="Options of the block.")
    later: Block | None = Field(default=None, description="A block for later. Default: none.")


KEYS = ("keep_all", "mode", "names", "loud", "check", "place", "inner.size")


@pytest.fixture
def toy():
    """Return a function that runs a command with the toy's options and returns what it was given."""
    found: list[dict[str, object]] = []
    typed = typer.Typer(rich_markup_mode=None)

    @typed.command(cls=command_with(f"{__name__}:Toy", *KEYS))
    def command(ctx: typer.Context, other: int = 1) -> None:
        found.append(given_knobs(ctx) | {"other": other})

    def call(*words: str) -> object:
        result = CliRunner().invoke(typed, words)
        return found.pop() if found else result

    return call


def test_what_is_given_comes_by_its_key(toy):
    words = "--keep-all 0.5 --mode b --names x --names y --loud --no-check --place here --size 4 --other 2"
    values = {"keep_all": 0.5, "mode": "b", "names": ["x", "y"], "loud": True, "check": False, "place": "here"}
    assert toy(*words.split()) == {**values, "inner.size": 4, "other": 2}


def test_what_is_not_given_is_none(toy):
    assert toy() == {**dict.fromkeys(KEYS), "other": 1}


def test_a_word_for_a_number_is_refused_at_once(toy):
    assert "should be a valid number" in toy("--keep-all", "much").output


def test_the_help_is_the_field(toy):
    text = " ".join(toy("--help").output.split())
    assert "Share that is kept. Default without another: 0.7. [0<x<=1]" in text
    assert "--mode a|b How it is done. [default: a]" in text
    assert "Names that count. [repeatable]" in text
    assert "--check / --no-check Also check it. [default: on]" in text
    assert "Size of it, in pixels. [default: 3; 1<=x<9; key: inner.size]" in text


def test_the_default_of_a_block_that_is_absent_is_that_it_is_absent():
    assert help_for(Toy, "later.size") == (
        "A block for later. Size of it, in pixels. Default: none.  [1<=x<9; key: later.size]"
    )


def test_values_that_cannot_be_name_the_option():
    assert checked(Toy, {"keep_all": 0.5, "mode": None}).keep_all == 0.5
    with pytest.raises(UsageError, match=r"--keep-all 2: should be less than or equal to 1"):
        checked(Toy, {"keep_all": 2})


@pytest.mark.parametrize("kind", stage_kinds())
def test_every_knob_of_a_stage_is_an_option_of_its_verb(kind: str):
    text = " ".join(CliRunner().invoke(app, [kind, "--help"], terminal_width=400).output.split())
    config = stage_kinds()[kind]
    assert config.knobs
    for key in config.knobs:
        assert f"--{key.rpartition('.')[2].replace('_', '-')} " in text
        assert " ".join(help_for(config, key).split()) in text
