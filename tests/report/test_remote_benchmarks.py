"""Measurements of other machines beside a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compress.benchmark.schema import Bench
from compress.errors import StageError, UsageError
from compress.report.json_report import build_report
from compress.report.markdown import to_markdown
from compress.report.remote_benchmarks import add_bench, read_remote_benchmarks

PI = {"cpu": "Raspberry Pi 5 Model B", "arch": "aarch64", "cores": 4, "flags": ["asimddp"]}


def measured(run: Any, folder: Path, host: dict[str, Any] = PI, **changes: Any) -> Path:
    path = folder / "bench.json"
    row = run.row("quantize", **{"stage": "on-the-pi", "path": "models/x.onnx", "latency_p50_ms": 7.125, **changes})
    other = run.row("train", stage="stranger", sha256="f" * 64)
    path.write_text(Bench(host=host, baseline="on-the-pi", rows=(row, other)).model_dump_json())
    return path


def test_rows_are_found_by_their_sha256_and_shown(make_run, tmp_path: Path) -> None:
    run = make_run()
    added = add_bench(run.path, measured(run, tmp_path))
    assert [row.stage for row in added.rows] == ["quantize"]
    assert added.baseline == "quantize"
    report = build_report(run.path)
    assert report.elsewhere == (added,)
    assert report.elsewhere[0].rows[0].path == "02-quantize/model.onnx"
    text = to_markdown(report)
    section = text[text.index("## On other machines") :]
    assert "Raspberry Pi 5 Model B (asimddp), 4 cores" in section
    assert "7.12" in section


def test_the_same_measurement_again_replaces_and_another_is_added(make_run, tmp_path: Path) -> None:
    run = make_run()
    for changes in ({}, {"latency_p50_ms": 6.0}, {"threads": 4}):
        add_bench(run.path, measured(run, tmp_path, **changes))
    add_bench(run.path, measured(run, tmp_path, host={**PI, "cpu": "Raspberry Pi 4"}))
    found = read_remote_benchmarks(run.path)
    assert sorted((bench.host["cpu"][-7:], bench.rows[0].threads, bench.rows[0].latency_p50_ms) for bench in found) == [
        ("Model B", 1, 6.0),
        ("Model B", 4, 7.125),
        ("ry Pi 4", 1, 7.125),
    ]
    assert all(path.name.startswith("raspberry-pi-") for path in (run.path / "elsewhere").iterdir())


def test_a_measurement_of_other_files_is_refused(make_run, tmp_path: Path) -> None:
    run = make_run()
    with pytest.raises(UsageError, match=r"measured no file of the run 'demo': it has on-the-pi eeeeeeeeeeee"):
        add_bench(run.path, measured(run, tmp_path, sha256="e" * 64))
    assert not (run.path / "elsewhere").exists()


def test_rows_of_a_stage_made_anew_are_left_out(make_run, tmp_path: Path) -> None:
    run = make_run()
    add_bench(run.path, measured(run, tmp_path))
    lock = run.path / "run.lock.json"
    value = json.loads(lock.read_text())
    value["stages"][1]["artifact"]["sha256"] = "a" * 64
    lock.write_text(json.dumps(value))
    assert read_remote_benchmarks(run.path) == ()


def test_a_damaged_file_is_named(make_run) -> None:
    run = make_run()
    folder = run.path / "elsewhere"
    folder.mkdir()
    (folder / "pi.json").write_text("{")
    with pytest.raises(StageError, match=r"pi\.json: not a bench\.json"):
        read_remote_benchmarks(run.path)
