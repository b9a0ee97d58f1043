"""Weights as training scripts leave them: entries beside them, names behind wrappers, data that is not tensors."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from compress.errors import ModelFileError
from compress.models.arch_tensors import fitting_archs
from compress.models.build import build_model, new_spec
from compress.models.checkpoint import averages_in, read_checkpoint
from compress.models.tensor_names import prefix_of, unwrapped
from compress.models.weights import load_pretrained, load_strictly

PREFIXES = (
    "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "model._orig_mod.", "module.model.", "my_net.",
)  # fmt: skip


def named(tensors, prefix):
    return {f"{prefix}{name}": tensor.clone() for name, tensor in tensors.items()}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_is_taken_off_in_every_format(tmp_path, lively, prefix, suffix):
    source, spec = lively("tiny")
    path, tensors = tmp_path / f"w{suffix}", named(source.state_dict(), prefix)
    torch.save(tensors, path) if suffix == ".pth" else save_file(tensors, path)
    for load in (lambda model: load_pretrained(model, spec, path), lambda model: load_strictly(model, path, "tiny")):
        model = build_model(spec, seed=3)
        load(model)
        assert all(torch.equal(value, source.state_dict()[name]) for name, value in model.state_dict().items())
    if suffix == ".safetensors" and prefix != "my_net.":
        assert fitting_archs(path) == ("tiny",)


def test_what_a_lightning_module_holds_beside_its_network_is_left(tmp_path, lively):
    source, spec = lively("tiny")
    tensors = {**named(source.state_dict(), "model."), "criterion.weight": torch.ones(3)}
    torch.save({"epoch": 1, "state_dict": tensors, "callbacks": {}}, tmp_path / "last.ckpt")
    model = build_model(spec, seed=3)
    assert load_pretrained(model, spec, tmp_path / "last.ckpt")
    assert torch.equal(model.conv_stem.weight, source.conv_stem.weight)


def test_the_arguments_of_a_script_are_data(tmp_path, lively):
    tensors = lively("tiny")[0].state_dict()
    beside = {
        "args": argparse.Namespace(lr=0.1, out=Path("runs")),
        "best_acc1": np.float64(71.5),
        "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1}]},
    }
    torch.save({"model": tensors, "epoch": 1, **beside}, tmp_path / "model_1.pth.tar")
    found = read_checkpoint(tmp_path / "model_1.pth.tar")
    assert found.keys() == tensors.keys()


@pytest.mark.parametrize("entry", ["state_dict_ema", "model_ema"])
def test_averaged_weights_are_taken_where_there_are(tmp_path, lively, entry):
    tensors = lively("tiny")[0].state_dict()
    average = {f"module.{name}": tensor + 1 for name, tensor in tensors.items()}
    torch.save({"state_dict": tensors, entry: {**average, "n_averaged": torch.tensor(7)}}, tmp_path / "best.pth")
    found = read_checkpoint(tmp_path / "best.pth")
    assert torch.equal(found["conv_stem.weight"], tensors["conv_stem.weight"] + 1)
    assert found.keys() == tensors.keys()
    assert averages_in(tmp_path / "best.pth") == entry


@pytest.mark.parametrize("content", [{"model": {"a": torch.ones(1)}}, {"ema": {"a": torch.ones(1)}}, {}, []])
def test_without_others_beside_them_there_is_nothing_to_choose(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    assert averages_in(tmp_path / "w.pth") is None


class Hook:
    """A class of the script's own."""


def test_what_is_neither_tensors_nor_data_is_named(tmp_path, lively):
    torch.save({"model": lively("tiny")[0].state_dict(), "hook": Hook()}, tmp_path / "w.pth")
    with pytest.raises(
        ModelFileError, match=r"w\.pth: holds objects .*: tests\.models\.test_checkpoint\.Hook"
    ) as error:
        read_checkpoint(tmp_path / "w.pth")
    assert "state_dict" in error.value.hint


def test_a_name_that_is_no_tensor_is_told(tmp_path):
    torch.save({"layers": [1, 2]}, tmp_path / "w.pth")
    with pytest.raises(ModelFileError, match="'layers' is no tensor"):
        read_checkpoint(tmp_path / "w.pth")


def test_not_finite_weights_are_the_files_fault(tmp_path, lively):
    source, spec = lively("tiny")
    tensors = named(source.state_dict(), "module.")
    tensors["module.conv_stem.weight"][0, 0, 0, 0] = float("nan")
    torch.save(tensors, tmp_path / "bad.pth")
    for load in (
        lambda model: load_pretrained(model, spec, tmp_path / "bad.pth"),
        lambda model: load_strictly(model, tmp_path / "bad.pth", "tiny"),
    ):
        with pytest.raises(ModelFileError, match=r"bad\.pth: 1 tensors hold NaN or infinity: 'conv_stem\.weight'"):
            load(build_model(spec))


def test_the_weights_of_another_architecture_are_told_by_name(tmp_path, lively):
    save_file(named(lively("tiny")[0].state_dict(), "module."), tmp_path / "w.safetensors")
    spec = new_spec("mobilenet_v3_small", ["a", "b"])
    with pytest.raises(ModelFileError, match="holds the tensors of tiny, not of 'mobilenet_v3_small'") as error:
        load_pretrained(build_model(spec), spec, tmp_path / "w.safetensors")
    assert "arch: tiny" in error.value.hint


def test_names_of_an_unknown_network_are_shown_in_short(tmp_path):
    save_file({f"blocks.{n}.w": torch.ones(2) for n in range(99)}, tmp_path / "w.safetensors")
    spec = new_spec("tiny", ["a", "b"])
    with pytest.raises(ModelFileError, match=r"0 of its \d+ tensors are in the file, .*blocks\.0\.w") as error:
        load_pretrained(build_model(spec), spec, tmp_path / "w.safetensors")
    assert len(error.value.message) < 400


def test_only_what_all_names_share_is_taken_off():
    assert unwrapped(["module.a.w", "module.b.w"]) == {"module.a.w": "a.w", "module.b.w": "b.w"}
    assert unwrapped(["model.a.w", "head.w"]) == {"model.a.w": "model.a.w", "head.w": "head.w"}
    assert unwrapped(["features.0.w"]) == {"features.0.w": "features.0.w"}
    assert unwrapped(["model"]) == {"model": "model"}, "a tensor of that name, not a member"
    assert unwrapped(["model.net"]) == {"model.net": "net"}


def test_the_prefix_with_the_most_names_wins():
    assert prefix_of(["a.x", "a.y", "b.x"], ["x", "y"]) == "a."
    assert prefix_of(["x", "y", "b.x"], ["x", "y"]) == ""
    assert prefix_of([], ["x"]) == ""
