from __future__ import annotations

import pytest
from pydantic import ValidationError

from compress.core.formats import Format
from compress.prune.config import PruneConfig


def test_defaults_and_what_the_planner_asks():
    config = PruneConfig()
    assert (config.keep, config.round_to, config.recovery) == (0.7, 8, None)
    assert config.produces is Format.TORCH
    assert config.references() == {"from": None}
    assert config.wants("from") == {Format.TORCH}


@pytest.mark.parametrize("wrong", [{"keep": 0}, {"keep": 1.5}, {"keep": -1}, {"round_to": 0}, {"scope": "all"}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        PruneConfig(**wrong)
    assert PruneConfig(keep=1.0).keep == 1.0
