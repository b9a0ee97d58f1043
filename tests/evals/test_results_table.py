"""README's block is generated, replaced whole, and never emptied by mistake."""

from __future__ import annotations

import subprocess
import sys

import pytest

from compress.errors import StageError, UsageError
from evals.results_table import BEGIN, END, benchmarked_runs, replace_block, results_markdown

README = f"# Title\n\nbefore\n\n{BEGIN}\nold numbers\n{END}\n\nafter\n"


def test_block_has_host_threads_n_and_seed_for_each_run(make_run) -> None:
    block = results_markdown([make_run("one").path, make_run("two").path])
    assert block.startswith(BEGIN)
    assert block.endswith(END)
    assert block.count("n = 700 test images, 1 thread(s), batch 1, baseline train, seed 7.") == 2
    assert block.count("Machine: Some CPU") == 2
    assert "**`one`**" in block
    assert "| quantize | onnx | int8 |" in block


def test_replacing_keeps_the_rest_and_can_be_repeated(make_run) -> None:
    block = results_markdown([make_run().path])
    text = replace_block(README, block, BEGIN, END)
    assert text.startswith("# Title\n\nbefore\n\n" + BEGIN)
    assert text.endswith(END + "\n\nafter\n")
    assert "old numbers" not in text
    assert replace_block(text, block, BEGIN, END) == text


@pytest.mark.parametrize("readme", ["", BEGIN, END + BEGIN, BEGIN + END + END, BEGIN + BEGIN + END])
def test_a_readme_without_one_pair_of_markers_is_refused(readme: str) -> None:
    with pytest.raises(UsageError, match="results:begin"):
        replace_block(readme, "block", BEGIN, END)


def test_only_benchmarked_runs_are_shown(make_run, tmp_path) -> None:
    bare = make_run("bare", benchmarked=False)
    full = make_run("full")
    (tmp_path / "runs" / "latest").symlink_to("full", target_is_directory=True)
    assert benchmarked_runs(tmp_path / "runs") == [full.path]
    with pytest.raises(StageError, match="no benchmark"):
        results_markdown([bare.path])


def test_the_make_target_s_command_rewrites_readme(make_run, tmp_path) -> None:
    make_run()
    readme = tmp_path / "README.md"
    readme.write_text(README)
    command = [sys.executable, "-m", "evals.results_table", str(readme), str(tmp_path / "runs")]
    subprocess.run(command, check=True)
    assert "**`demo`**" in readme.read_text()


def test_without_runs_readme_is_left_alone(tmp_path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(README)
    command = [sys.executable, "-m", "evals.results_table", str(readme), str(tmp_path / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no benchmarked run" in done.stderr
    assert readme.read_text() == README
