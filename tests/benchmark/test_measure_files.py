"""Models named by a user, side by side; what the command line makes of it: tests/cli/test_benchmark_files.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compress.benchmark.measure_files import FilesOptions, faults, measure_files
from compress.core.stage import SilentReporter
from compress.errors import StageError, UsageError
from compress.measure.latency import Timing
from tests.benchmark.conftest import LABELS, RIGHT_KC, MakeArtifact

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml


def options(*models: Path | str, **changes: Any) -> FilesOptions:
    given: dict[str, Any] = {"data": None, "baseline": None, "preprocess": None, "profile": False}
    given |= {"threads": (1,), "batches": (1,), "callers": (), "timing": Timing(1, 5, 0.01)}
    return FilesOptions([str(model) for model in models], **{**given, **changes})


def test_the_first_model_that_can_be_asked_is_the_baseline(make_artifact: MakeArtifact, photos: Path, tmp_path: Path):
    worse = make_artifact("worse", weight_KC=RIGHT_KC[[0, 2, 1]]).path
    right = make_artifact("right").path
    found = measure_files(options(tmp_path / "gone.onnx", worse, right, data=photos), SilentReporter())
    assert found.bench.baseline == "01-worse/model.onnx"
    assert [row.top1_drop_pp for row in found.bench.rows] == [0.0, pytest.approx(-200 / 3)]
    assert found.answers is not None
    assert found.answers.labels == LABELS
    assert faults(found.bench) == [found.bench.failed[0].error]


def test_a_baseline_that_failed_or_is_not_there(make_artifact: MakeArtifact, tmp_path: Path):
    model, gone = make_artifact("model").path, tmp_path / "gone.onnx"
    with pytest.raises(StageError, match="the baseline cannot be measured"):
        measure_files(options(model, gone, baseline=str(gone)), SilentReporter())
    with pytest.raises(UsageError, match=r"not one of the models: model\.onnx"):
        measure_files(options(model, baseline="x.onnx"), SilentReporter())
    with pytest.raises(StageError, match="none of the models can be measured"):
        measure_files(options(gone), SilentReporter())


def test_a_model_without_weights_is_at_no_fault_for_its_accuracy(make_artifact: MakeArtifact):
    bench = measure_files(options(make_artifact("model").path), SilentReporter()).bench
    row = bench.rows[0].model_copy(update={"error": "no accuracy"})
    untrained = row.model_copy(update={"path": "squeezenet1_1"})
    assert faults(bench.model_copy(update={"rows": (row, untrained)})) == ["model.onnx: no accuracy"]
