from __future__ import annotations

from pathlib import Path

import pytest

from compress.core.stage import SilentReporter
from compress.errors import UsageError
from compress.runtime.evaluate_file import Compared, as_json_data, evaluate_file, texts
from tests.benchmark.conftest import RIGHT_KC, MakeArtifact, make_artifact

make_artifact = make_artifact  # the fixture of the benchmark's own tests


def measured(file: Path, baseline: Path | None, data: Path) -> Compared:
    return evaluate_file(file, baseline, data, threads=1, device="cpu", preprocess=None, reporter=SilentReporter())


def test_a_file_alone(make_artifact: MakeArtifact, photos: Path):
    found = measured(make_artifact("model").path, None, photos)
    assert as_json_data(found)["top1_pct"] == 100.0
    assert set(as_json_data(found)) == {"n_images", "top1_pct", "top1_ci95_pct", "top5_pct"}
    assert len(texts(found)) == 2
    assert "12 images" in texts(found)[0]


def test_beside_a_baseline(make_artifact: MakeArtifact, photos: Path):
    worse = make_artifact("worse", weight_KC=RIGHT_KC[[0, 2, 1]]).path  # green and red confused
    found = measured(worse, make_artifact("model").path, photos)
    data = as_json_data(found)
    assert (data["baseline_top1_pct"], data["top1_pct"]) == (100.0, pytest.approx(100 / 3))
    assert data["top1_drop_pp"] == pytest.approx(200 / 3)
    assert data["agreement_pct"] == pytest.approx(100 / 3)
    assert "drop 66.67 pp, same answer on 33.33 %" in texts(found)[2]


def test_a_baseline_of_other_classes_is_refused(make_artifact: MakeArtifact, photos: Path):
    two = make_artifact("two", weight_KC=RIGHT_KC[:2], labels=("blue", "green")).path
    with pytest.raises(UsageError, match=r"knows 2 classes, .* knows 3"):
        measured(make_artifact("model").path, two, photos)
