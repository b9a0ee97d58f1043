"""The committed reference is what the generator writes now."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs_tools.generate import PAGES, SCHEMA, generate

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    generate(folder)
    return folder


@pytest.mark.parametrize("name", [*PAGES, SCHEMA])
def test_the_committed_page_is_fresh(made: Path, name: str):
    assert (REFERENCE / name).read_text() == (made / name).read_text(), f"{name} is old: run `make docs`"


def test_nothing_else_is_written(made: Path):
    assert {path.name for path in made.iterdir()} == {*PAGES, SCHEMA}
