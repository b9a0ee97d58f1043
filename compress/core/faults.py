"""What is wrong with data from outside, in one line."""

from __future__ import annotations

from pydantic import ValidationError


def first_fault(error: ValidationError) -> str:
    """Return where the first fault lies and what it is: "rows.0.stage: Field required"."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where or 'the file'}: {first['msg']}"
