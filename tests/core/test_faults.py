"""One line for what pydantic found."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from compress.core.faults import first_fault


class Inner(BaseModel):
    value: int


class Outer(BaseModel):
    inner: list[Inner]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"inner": [{"value": 1}, {}]}, "inner.1.value: Field required"),
        ({}, "inner: Field required"),
        (3, "the file: Input should be a valid dictionary or instance of Outer"),
    ],
)
def test_the_place_and_the_fault_are_named(wrong: object, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(wrong)
    assert first_fault(caught.value) == said
