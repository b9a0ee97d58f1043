from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from compress.core.formats import Format
from compress.prune.config import DEFAULT_KEEP, PruneConfig


def test_defaults_and_what_the_planner_asks():
    config = PruneConfig()
    assert (config.keep, DEFAULT_KEEP, config.round_to, config.recovery) == (None, 0.7, 8, None)
    assert (config.importance, config.sibling, config.rounds) == ("taylor", True, 1)
    assert config.produces is Format.TORCH
    assert config.references() == {"from": None}
    assert config.wants("from") == {Format.TORCH}


@pytest.mark.parametrize(
    "wrong",
    [
        {"keep": 0},
        {"keep": 1.5},
        {"keep": -1},
        {"round_to": 0},
        {"scope": "all"},
        {"rounds": 0},
        {"target_macs": 1.2},
        {"alpha": 2},
    ],
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        PruneConfig(**wrong)
    assert PruneConfig(keep=1.0).keep == 1.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"keep": 0.5, "target_macs": 0.5},
            r"give one budget, found keep and target_macs \(allowed: one of keep, target_macs",
        ),
        ({"target_params": 0.5, "target_latency_ms": 2.0}, "found target_params and target_latency_ms"),
        ({"keep": 0.5, "like": "prune", "weights": "none"}, "found keep and like"),
        ({"like": "prune"}, "like and weights go together"),
        ({"weights": "imagenet"}, "like and weights go together"),
        ({"like": "prune", "weights": "imagnet"}, "imagenet, none, or a file"),
        ({"rounds": 2}, "rounds: 2 needs recovery"),
        ({"allocation": "sensitivity", "scope": "global"}, "decides every width by itself; found scope: global"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(options, words):
    with pytest.raises(ValidationError, match=words):
        PruneConfig.model_validate(options)


def test_a_sibling_reads_two_models_and_maybe_a_file():
    config = PruneConfig.model_validate({"like": "prune", "weights": "w.pth", "from": "train"})
    assert config.references() == {"from": "train", "like": "prune"}
    assert config.wants("like") == {Format.TORCH}
    assert config.files() == {"weights": Path("w.pth")}
    assert PruneConfig(like="prune", weights="imagenet").files() == {}
