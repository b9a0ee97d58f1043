from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest
import torch

from compress.core.stage import RunContext, StageConfig
from compress.pipeline.call import call_stage


class _Asked(StageConfig):
    entry_point: ClassVar[str] = "stage_that_looks:run"
    kind: str = "asked"


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_stage_runs_under_the_algorithms_that_were_asked_for(monkeypatch, tmp_path: Path, deterministic: bool):
    module = ModuleType("stage_that_looks")
    module.run = lambda config, inputs, context: torch.are_deterministic_algorithms_enabled()
    monkeypatch.setitem(sys.modules, "stage_that_looks", module)
    context = RunContext(tmp_path, 0, None, deterministic=deterministic)
    assert call_stage(_Asked(), {}, context) is deterministic
    assert not torch.are_deterministic_algorithms_enabled()
