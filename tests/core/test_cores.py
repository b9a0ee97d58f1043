from __future__ import annotations

import os

import pytest

from compress.core import cores as module


@pytest.mark.parametrize(("quota", "cores"), [(None, 4), (0.5, 1), (1.9, 1), (2.0, 2), (16.0, 4)])
def test_cores_are_bounded_by_affinity_and_quota(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(module, "cgroup_quota", lambda: quota)
    assert module.usable_cores() == cores
