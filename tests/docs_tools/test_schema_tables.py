from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from docs_tools.schema_tables import attributes, key_table, summary


class Inner(BaseModel):
    """Something within."""


class Sample(BaseModel):
    """A block
    on two lines.

    Attributes:
        input_px: side of the
            input: a square.
        mode: how.
    """

    input_px: Annotated[int, Field(ge=16, lt=2**31)]
    mode: Literal["a", "b"] = "a"
    max_drop_pp: float | None = Field(default=None, gt=0, description="From the field | itself.")
    names: tuple[str, ...] = ()
    inner: Inner = Inner()
    derived: bool = Field(default_factory=lambda: True)


def test_a_docstring_is_read():
    schema = Sample.model_json_schema()
    assert summary(schema) == "A block on two lines."
    assert attributes(schema) == {"input_px": "side of the input: a square.", "mode": "how."}


@pytest.mark.parametrize(
    "row",
    [
        "| key | type | unit | default | meaning |",
        "| `input_px` | integer, from 16 below 2,147,483,648 | pixels | required | side of the input: a square. |",
        '| `mode` | `a` or `b` |  | `"a"` | how. |',
        "| `max_drop_pp` | number, above 0 | percentage points | none | From the field \\| itself. |",
        "| `names` | list of text |  | none |  |",
        "| `inner` | [Inner](#inner) |  | the defaults of its keys |  |",
        "| `derived` | true or false |  | depends on other keys |  |",
    ],
)
def test_a_key_is_a_row(row: str):
    assert row in key_table(Sample.model_json_schema()).splitlines()


def test_a_file_that_a_program_writes_has_no_defaults():
    lines = key_table(Sample.model_json_schema(), defaults=False).splitlines()
    assert lines[0] == "| key | type | unit | meaning |"
    assert lines[3] == "| `mode` | `a` or `b` |  | how. |"
