from __future__ import annotations

import pytest
import torch
from torch import nn

from compress.engine.checkpoint import (
    CHECKPOINT_FILE,
    load_checkpoint,
    load_optimizer,
    optimizer_tensors,
    remove_checkpoint,
    save_checkpoint,
)


def test_tensors_and_json_come_back_as_they_were(tmp_path):
    path = tmp_path / CHECKPOINT_FILE
    kernel = torch.randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    groups = {"model": {"a/b": kernel, "count": torch.tensor(3)}, "empty": {}}
    save_checkpoint(path, groups, {"epoch": 2, "rows": [{"loss": 0.5}]})
    loaded, meta = load_checkpoint(path)
    assert torch.equal(loaded["model"]["a/b"], kernel)
    assert int(loaded["model"]["count"]) == 3
    assert meta == {"epoch": 2, "rows": [{"loss": 0.5}]}


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_no_checkpoint_or_a_foreign_file_is_none(tmp_path, content):
    path = tmp_path / CHECKPOINT_FILE
    assert load_checkpoint(path) is None
    path.write_bytes(content)
    assert load_checkpoint(path) is None


def test_a_failed_write_leaves_the_last_checkpoint(tmp_path):
    path = tmp_path / CHECKPOINT_FILE
    save_checkpoint(path, {"model": {"a": torch.ones(2)}}, {"epoch": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_checkpoint(path, {"model": {"a": torch.zeros(2)}}, {"loss": float("nan")})
    groups, meta = load_checkpoint(path)
    assert meta == {"epoch": 1}
    assert torch.equal(groups["model"]["a"], torch.ones(2))
    assert [file.name for file in tmp_path.iterdir()] == [CHECKPOINT_FILE]


def test_the_optimizer_continues_as_if_never_saved(tmp_path):
    torch.manual_seed(0)
    nets = [nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    optimizers = [torch.optim.AdamW(net.parameters(), lr=0.1, fused=True) for net in nets]
    images = torch.randn(2, 3, 5, 5)

    def step(index: int) -> None:
        optimizers[index].zero_grad()
        nets[index](images).square().mean().backward()
        optimizers[index].step()

    step(0)
    save_checkpoint(tmp_path / "c", {"optimizer": optimizer_tensors(optimizers[0])}, {})
    nets[1].load_state_dict(nets[0].state_dict())
    load_optimizer(optimizers[1], load_checkpoint(tmp_path / "c")[0]["optimizer"])
    step(0)
    step(1)
    assert torch.equal(nets[0].weight, nets[1].weight)
    momentum = optimizers[1].state[nets[1].weight]["exp_avg"]
    assert momentum.stride() == nets[1].weight.stride()


def test_removing_is_idempotent(tmp_path):
    save_checkpoint(tmp_path / CHECKPOINT_FILE, {}, {})
    remove_checkpoint(tmp_path)
    remove_checkpoint(tmp_path)
    assert not list(tmp_path.iterdir())
