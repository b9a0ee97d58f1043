from __future__ import annotations

import pytest
import torch

from compress.core.stage import SilentReporter
from compress.engine.initial_weights import say_averages, start_model
from compress.errors import ModelFileError
from compress.models.build import arch_info, build_model, new_spec
from compress.models.weights import save_model

HEAD = arch_info("tiny").head


def _spec(classes):
    return new_spec("tiny", [f"class {index}" for index in range(classes)], 32)


def _saved(folder, classes, seed=5):
    spec = _spec(classes)
    model = build_model(spec, seed=seed)
    save_model(folder / "w.safetensors", model, spec)
    return model, str(folder / "w.safetensors")


def _features(model):
    return {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(HEAD)}


def test_from_nothing_it_is_the_fresh_network_of_the_seed():
    fresh, same, other = (start_model(_spec(3), "none", seed).state_dict() for seed in (1, 1, 2))
    built = build_model(_spec(3), seed=1).state_dict()
    assert all(torch.equal(fresh[name], built[name]) and torch.equal(fresh[name], same[name]) for name in built)
    assert not torch.equal(fresh[f"{HEAD}.weight"], other[f"{HEAD}.weight"]), "an uncalmed head of another seed"
    assert float(fresh[f"{HEAD}.weight"].std()) > 0.02


def test_weights_of_as_many_classes_are_taken_whole(tmp_path):
    saved, path = _saved(tmp_path, 3)
    started = start_model(_spec(3), path, 0).state_dict()
    assert all(torch.equal(started[name], tensor) for name, tensor in saved.state_dict().items())


def test_weights_of_other_classes_get_a_calm_head_of_the_seed(tmp_path):
    saved, path = _saved(tmp_path, 7)
    one, same, other = (start_model(_spec(3), path, seed) for seed in (1, 1, 2))
    for name, tensor in _features(saved).items():
        assert torch.equal(_features(one)[name], tensor)
    head, again, seeded = (model.get_submodule(HEAD) for model in (one, same, other))
    assert head.weight.shape[0] == 3
    assert 0.005 < float(head.weight.detach().std()) < 0.015
    assert not head.bias.any()
    assert torch.equal(head.weight, again.weight)
    assert not torch.equal(head.weight, seeded.weight)


def test_the_randomness_of_others_is_not_touched(tmp_path):
    _, path = _saved(tmp_path, 7)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    start_model(_spec(3), path, 0)
    assert torch.equal(torch.rand(4), expected)


def test_weights_of_another_architecture_are_refused(tmp_path):
    _, path = _saved(tmp_path, 3)
    with pytest.raises(ModelFileError, match="squeezenet1_1"):
        start_model(new_spec("squeezenet1_1", ["a", "b", "c"], 64), path, 0)


class Told(SilentReporter):
    """Keeps what it is told."""

    def __init__(self):
        self.infos = []

    def info(self, message):
        self.infos.append(message)


def test_averaged_weights_beside_others_are_said(tmp_path):
    tensors = build_model(_spec(3)).state_dict()
    torch.save({"model": tensors, "model_ema": tensors}, tmp_path / "both.pth")
    torch.save({"model": tensors}, tmp_path / "one.pth")
    told = Told()
    for weights in ("none", "imagenet", str(tmp_path / "one.pth"), str(tmp_path / "both.pth")):
        say_averages(weights, told)
    (line,) = told.infos
    assert "both.pth: took the averaged weights, 'model_ema'" in line
