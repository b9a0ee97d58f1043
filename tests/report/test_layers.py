"""Both shapes of sensitivity.json as one."""

from __future__ import annotations

import json

import pytest

from compress.errors import StageError
from compress.report.layers import read_layer_costs
from tests.report.rich_run import CUT, ROUNDED


def _read(tmp_path, found):
    path = tmp_path / "sensitivity.json"
    path.write_text(json.dumps(found))
    return read_layer_costs("stage", path)


def test_layers_rounded_alone_by_their_divergence(tmp_path) -> None:
    found = _read(tmp_path, {**ROUNDED, "layers": ROUNDED["layers"][::-1]})
    assert (found.images, found.judged_on) == (64, "validation images")
    assert [(one.name, one.kl, one.top1_drop_pp) for one in found.layers[:2]] == [
        ("features.0.conv", 0.031, 3.125),
        ("features.1.conv", 0.0155, 3.125),
    ]


def test_layers_without_labels_have_no_drop(tmp_path) -> None:
    layers = [{"layer": "a", "kl": 0.5, "top1_pct": None}]
    assert _read(tmp_path, {**ROUNDED, "float_top1_pct": None, "layers": layers}).layers[0].top1_drop_pp is None


def test_groups_cut_alone_by_their_worst_drop(tmp_path) -> None:
    first = _read(tmp_path, CUT).layers[0]
    assert (first.name, first.kl, first.top1_drop_pp) == ("features.4.expand", None, 8.0)
    assert [(cut.keep, round(cut.top1_drop_pp, 2)) for cut in first.cuts][:2] == [(0.875, 1.33), (0.75, 2.67)]


def test_what_accuracy_is_lost_is_said(tmp_path) -> None:
    layers = [{"layer": "a", "kl": 0.5, "map_pct": 40.0}]
    rounded = {"images": 64, "judged_on": "validation images", "float_map_pct": 41.5, "layers": layers}
    assert _read(tmp_path, rounded).measure == "mAP"
    assert _read(tmp_path, ROUNDED).measure == _read(tmp_path, CUT).measure == "top-1"


@pytest.mark.parametrize("text", ["{", "{}", '{"images": 1, "judged_on": "x", "layers": [{}]}'])
def test_a_damaged_file_is_named(tmp_path, text) -> None:
    path = tmp_path / "sensitivity.json"
    path.write_text(text)
    with pytest.raises(StageError, match="not a readable sensitivity") as caught:
        read_layer_costs("stage", path)
    assert str(path) in caught.value.message
    assert "--resume" in caught.value.hint
