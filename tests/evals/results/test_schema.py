from __future__ import annotations

import pytest
from pydantic import ValidationError

from compress.errors import UsageError
from evals.results.schema import ResultFile, read_results, write_results
from tests.evals.blocks import block

ROWS = [{"model": "a", "ms": 1.5, "count": 3, "interval": (1.0, 2.0), "ratio": (1.0, 0.5, 2.0), "missing": None}]


def test_what_is_written_is_read_again(tmp_path):
    results = ResultFile(name="x", command="make x", blocks=(block(ROWS, spread=None, n=3),))
    write_results(tmp_path / "x.json", results)
    assert read_results(tmp_path / "x.json") == results


def test_a_block_takes_the_place_of_the_one_of_its_key():
    one, two, three = (block(ROWS, key=key) for key in ("one", "two", "three"))
    new = block([{"model": "b"}], key="one")
    kept = ResultFile(name="x", command="make x", blocks=(one, two)).with_blocks((three, new))
    assert kept.blocks == (new, two, three)


def test_a_cell_without_a_column_is_refused():
    good = block(ROWS)
    with pytest.raises(ValidationError, match="cells without a column"):
        type(good).model_validate({**good.model_dump(), "rows": [{"mdoel": "a"}]})


def test_a_fact_that_is_no_number_is_named():
    assert block(ROWS, n=3).number("n") == 3
    with pytest.raises(UsageError, match="'n' must be a number, found 'three'"):
        block(ROWS, n="three").number("n")


def test_a_file_that_is_missing_or_no_result_is_named(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_results(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(UsageError, match="is no file of results"):
        read_results(tmp_path / "bad.json")
