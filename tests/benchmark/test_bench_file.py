"""bench.json read back, and its schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compress.benchmark.bench_file import SCHEMA_PATH, bench_schema, read_answers, read_bench
from compress.benchmark.schema import Answers, Bench
from compress.errors import UsageError


def test_the_committed_schema_is_that_of_the_types() -> None:
    assert json.loads(SCHEMA_PATH.read_text()) == json.loads(json.dumps(bench_schema())), "run `make schema`"


def test_a_bench_is_read_back(tmp_path: Path) -> None:
    bench = Bench(host={"cpu": "x"}, baseline="a", rows=())
    path = tmp_path / "bench.json"
    path.write_text(bench.model_dump_json())
    assert read_bench(path) == bench
    assert read_answers(path) is None
    answers = Answers(labels=("a",), paths=("p",), truth=(0,), top1={}, confidence={}, truth_confidence={})
    (tmp_path / "answers.json").write_text(answers.model_dump_json())
    assert read_answers(path) == answers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[1]", "JSON that is a list"),
        ('{"run": "r", "gates": []}', "a report.json"),
        ('{"host": {}, "baseline": "a"}', "rows: Field required; found an object with the keys host, baseline"),
        ('{"host": {}, "baseline": "a", "rows": [{"stage": "x"}]}', "rows.0.format"),
        ("{}", "the keys none"),
    ],
)
def test_what_is_no_bench_is_said_to_be_none(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        read_bench(path)
    assert str(path) in error.value.message
    assert words in error.value.message
    assert "imgc" in error.value.hint


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(UsageError, match=f"{path}: cannot be read"):
            read_bench(path)
