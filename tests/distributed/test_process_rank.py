from __future__ import annotations

import pytest

from compress.distributed.process_rank import ProcessRank, process_rank


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert process_rank() == ProcessRank(rank=0, world_size=1, local_rank=0, local_world_size=1)


def test_torchrun_says_where_a_process_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    assert process_rank() == ProcessRank(rank=5, world_size=8, local_rank=1, local_world_size=4)
