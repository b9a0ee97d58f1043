"""The tables of runs: one block a run, from what its benchmark sealed."""

from __future__ import annotations

import pytest

from compress.errors import StageError, UsageError
from evals.pages import runs as module
from evals.pages.runs import benchmarked_runs, runs_block
from evals.results.markdown import block_table, block_text
from tests.evals.blocks import MEASURED


@pytest.fixture(autouse=True)
def known(monkeypatch):
    def measured_then(file, host, latency):
        assert file.name == "bench.json"
        return MEASURED.model_copy(update={"host": host, "latency": latency})

    monkeypatch.setattr(module, "measured_then", measured_then)


def test_a_block_has_host_threads_n_and_seed(make_run):
    block = runs_block(make_run("one").path)
    assert block.key == "one"
    assert block.n == {"test images": 700}
    text = block_text(block)
    assert "n = 700 test images, 1 thread(s), batch 1, baseline train, seed 7. Machine: Some CPU" in text
    assert "| quantize | onnx | int8 |" in block_table(block)
    assert block.rows[1]["top1_pct"] == 92.0


def test_the_version_of_the_benchmark_tells_the_definition_of_latency(make_run, monkeypatch):
    run = make_run().path
    assert runs_block(run).measured.latency == "call and conversion"
    stage = module._benchmark(run)
    newer = stage.model_copy(update={"key_parts": {"version": 4}})
    monkeypatch.setattr(module, "_benchmark", lambda _: newer)
    assert runs_block(run).measured.latency == "call"


def test_only_benchmarked_runs_are_shown(make_run, tmp_path):
    bare = make_run("bare", benchmarked=False)
    full = make_run("full")
    (tmp_path / "runs" / "latest").symlink_to("full", target_is_directory=True)
    assert benchmarked_runs(tmp_path / "runs") == [full.path]
    with pytest.raises(StageError, match="no benchmark"):
        runs_block(bare.path)


def test_without_runs_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "publish", lambda *_: pytest.fail("wrote a page"))
    with pytest.raises(UsageError, match="no benchmarked run"):
        module._main(tmp_path)


def test_all_runs_are_published(make_run, tmp_path, monkeypatch):
    make_run("one")
    make_run("two")
    published = {}
    monkeypatch.setattr(module, "publish", lambda name, blocks: published.update({name: [one.key for one in blocks]}))
    module._main(tmp_path / "runs")
    assert published == {"runs": ["one", "two"]}
