"""`bench.json` and the `answers.json` beside it, read back; and the JSON Schema that other programs may hold them to.

`python -m compress.benchmark.bench_file` writes the schema beside this file.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from compress.benchmark.schema import Answers, Bench
from compress.core.fact import first_fault
from compress.core.regular_file import MAX_JSON_BYTES, read_regular
from compress.core.storage import write_json
from compress.core.visible import visible_values
from compress.errors import UsageError

ANSWERS_NAME = "answers.json"
SCHEMA_PATH = Path(__file__).with_name("bench.schema.json")
_HINT = "`imgc benchmark` writes one: NN-benchmark/bench.json in the run's folder"


def read_bench(path: Path) -> Bench:
    """Return the measurements of a `bench.json`.

    Raises:
        UsageError: the file is missing, no JSON, or JSON of something else; the message says what was found.
    """
    value = _json(path)
    try:
        return Bench.model_validate(value)
    except ValidationError as error:
        raise UsageError(
            f"{path}: not a bench.json: {first_fault(error)}; found {_kind_of(value)}", hint=_HINT
        ) from None


def read_answers(bench: Path) -> Answers | None:
    """Return the answers that lie beside a `bench.json`, None where there are none that can be read."""
    try:
        return Answers.model_validate_json(bench.with_name(ANSWERS_NAME).read_bytes())
    except (OSError, ValidationError):
        return None  # they only sharpen a comparison


def bench_schema() -> dict[str, object]:
    """Return the JSON Schema of `bench.json` (draft 2020-12)."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Bench.model_json_schema()}


def _json(path: Path) -> object:
    try:
        data = read_regular(path, MAX_JSON_BYTES)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})", hint=_HINT) from None
    try:
        return visible_values(json.loads(data))
    except ValueError as error:
        raise UsageError(f"{path}: not a bench.json: not JSON ({error})", hint=_HINT) from None


def _kind_of(value: object) -> str:
    """Return what a JSON value looks like, in a few words."""
    if not isinstance(value, dict):
        return f"JSON that is a {type(value).__name__}, not an object"
    if {"run", "gates"} <= set(value):
        return "a report.json (`imgc report A B` compares runs)"
    return f"an object with the keys {', '.join(list(value)[:8]) or 'none'}"


if __name__ == "__main__":
    write_json(SCHEMA_PATH, bench_schema())
