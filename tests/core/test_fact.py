"""What data from outside may be, and one line for what pydantic found."""

from __future__ import annotations

import math

import pytest
from pydantic import BaseModel, ValidationError

from compress.core.fact import Fact, first_fault


class Inner(BaseModel):
    value: int


class Outer(BaseModel):
    inner: list[Inner]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"inner": [{"value": 1}, {}]}, "inner.1.value: Field required"),
        ({"inner": [{}, {"value": "x"}]}, "inner.0.value: Field required"),
        ({}, "inner: Field required"),
        (3, "the file: Input should be a valid dictionary or instance of Outer"),
    ],
)
def test_the_place_and_the_fault_are_named(wrong: object, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(wrong)
    assert first_fault(caught.value) == said


class Measured(Fact):
    value: float


@pytest.mark.parametrize("wrong", [{"value": math.nan}, {"value": math.inf}, {"value": 1.0, "more": 2}])
def test_a_fact_takes_finite_numbers_and_known_keys_alone(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Measured.model_validate(wrong)


def test_a_fact_stays_as_it_is() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Measured(value=1.0).value = 2.0
