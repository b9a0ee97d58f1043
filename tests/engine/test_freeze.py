from __future__ import annotations

from torch import nn

from compress.engine.freeze import freeze_all_but, trainable_names, unfreeze


def _net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def test_only_the_head_has_gradients_and_training_mode():
    model = _net()
    freeze_all_but(model, ["3"])
    assert trainable_names(model) == {"3.weight", "3.bias"}
    assert [module.training for module in model] == [False, False, False, True]


def test_unfreezing_gives_back_what_learned_before():
    model = _net()
    model[0].weight.requires_grad_(False)
    names = trainable_names(model)
    freeze_all_but(model, ["3"])
    unfreeze(model, names)
    assert trainable_names(model) == names
    assert all(module.training for module in model.modules())
