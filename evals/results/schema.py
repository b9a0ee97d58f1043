"""The one form of everything that was measured: a file holds blocks, a block is a table with its circumstances."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from compress.core.storage import write_text
from compress.errors import UsageError

Cell = str | int | float | None | tuple[float, float] | tuple[float, float, float]
"""Two numbers are an interval; three are a middle, the low and the high end. A text stands in a table as it is."""
LatencyDefinition = Literal["call", "call and conversion"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Strict):
    """A column of a table.

    Attributes:
        key: of the cells.
        title: as a reader sees it, with the unit.
        kind: how a number is written: with `digits` decimals, as a size or as a count.
        digits: decimals of a plain number.
    """

    key: str
    title: str
    kind: Literal["text", "number", "bytes", "count"] = "number"
    digits: int = 0


class Measured(_Strict):
    """When, where and by which code.

    Attributes:
        date: the day of the measurement.
        commit: of the code; for a recovered table, the commit that wrote the table.
        changed: whether the code differed from the commit.
        host: facts of the machine with the versions of the libraries, as `compress.runtime.host` gives them.
        latency: which definition its milliseconds have; None where a table has no latency of a model.
        recovered_from: where the numbers were copied from, when they were not written by the program itself.
    """

    date: date
    commit: str
    changed: bool = False
    host: dict[str, Any]
    latency: LatencyDefinition | None = None
    recovered_from: str | None = None


class Block(_Strict):
    """A table and its circumstances.

    Attributes:
        key: unique in its file; a block that is measured again replaces the one of the same key.
        title: heads the table.
        n: what was counted -> how many: images, calls, rounds.
        setting: what else a reader must know to repeat it, as a sentence without the full stop.
        measured: when, where and by which code.
        columns: in order; those of kind "text" come first.
        rows: key of a column -> cell; a key that is left out was not measured.
        facts: numbers beside the table, which the sentences below it are made of.
    """

    key: str
    title: str
    n: dict[str, int]
    setting: str
    measured: Measured
    columns: tuple[Column, ...] = ()
    rows: tuple[dict[str, Cell], ...] = ()
    facts: dict[str, Cell] = {}

    @model_validator(mode="after")
    def _cells_have_columns(self) -> Block:
        known = {column.key for column in self.columns}
        if unknown := {key for row in self.rows for key in row} - known:
            raise ValueError(f"block {self.key!r}: cells without a column: {sorted(unknown)}")
        return self

    def number(self, fact: str) -> float:
        """Return a fact that is a number.

        Raises:
            UsageError: it is missing, or no number.
        """
        value = self.facts.get(fact)
        if not isinstance(value, int | float):
            raise UsageError(f"block {self.key!r}: the fact {fact!r} must be a number, found {value!r}")
        return value


class ResultFile(_Strict):
    """One file of `docs/results/data/`.

    Attributes:
        name: of the file and of its page.
        command: measures it again.
        blocks: as the page shows them.
    """

    name: str
    command: str
    blocks: tuple[Block, ...]

    def with_blocks(self, measured: tuple[Block, ...]) -> ResultFile:
        """Return the file with these blocks: each in the place of the one of its key, new ones at the end."""
        new = {block.key: block for block in measured}
        kept = [new.pop(block.key, block) for block in self.blocks]
        return self.model_copy(update={"blocks": (*kept, *new.values())})


def read_results(path: Path) -> ResultFile:
    """Return what a file holds.

    Raises:
        UsageError: the file is not there, or not one of these.
    """
    try:
        return ResultFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise UsageError(f"{path}: is no file of results: {error}") from error


def write_results(path: Path, results: ResultFile) -> None:
    """Write it, atomically."""
    write_text(path, results.model_dump_json(indent=1) + "\n")
