"""Data from outside: what it must be (`Fact`), and what is wrong with it in one line (`first_fault`)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError


class Fact(BaseModel):
    """The base of what is measured, written as JSON and read again: frozen, no unknown keys, no NaN, no infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def first_fault(error: ValidationError) -> str:
    """Return where the first fault lies and what it is: "rows.0.stage: Field required"."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where or 'the file'}: {first['msg']}"
