"""The options of the benchmark, and what the planner learns from them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from compress.benchmark.config import BenchmarkConfig
from compress.core.formats import Format


def test_by_default_every_model_above_is_measured_on_one_thread() -> None:
    config = BenchmarkConfig()
    assert config.takes_all
    assert config.references() == {}
    assert (config.threads, config.batch) == (1, 1)
    assert config.produces is Format.BENCH
    assert Format.BENCH not in config.consumes


def test_a_named_baseline_is_a_reference_so_that_the_planner_checks_it() -> None:
    config = BenchmarkConfig(baseline="train")
    assert config.takes_all
    assert config.references() == {"model:train": "train"}


def test_named_models_are_references_with_the_baseline_among_them() -> None:
    config = BenchmarkConfig(models=("prune", "quantize"), baseline="train")
    assert not config.takes_all
    assert config.references() == {"model:train": "train", "model:prune": "prune", "model:quantize": "quantize"}
    again = BenchmarkConfig(models=("train", "prune"), baseline="prune")
    assert list(again.references()) == ["model:train", "model:prune"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"threads": 0},
        {"batch": 0},
        {"repeats": 0},
        {"models": []},
        {"limit": 0},
        {"budget_s": 0},
        {"runs": 3},
        {"sweep": {"threads": [0]}},
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BenchmarkConfig.model_validate(wrong)


def test_config_loads_no_backend() -> None:
    code = (
        "import sys, compress.benchmark.config, compress.benchmark.schema\n"
        "heavy = {'torch', 'numpy', 'onnx', 'onnxruntime', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
