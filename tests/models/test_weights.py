from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from compress.core.digest import sha256_file
from compress.core.spec import SPEC_KEY
from compress.errors import ModelFileError
from compress.models.build import build_model, describe, new_spec
from compress.models.weights import load_model, load_pretrained, read_spec_of, save_model


def test_a_round_trip_is_bit_equal_and_repeatable(tmp_path, lively):
    model, spec = lively("tiny")
    stored = save_model(tmp_path / "a.safetensors", model, spec)
    model.to(memory_format=torch.channels_last)  # the layout in memory must not show in the file
    save_model(tmp_path / "b.safetensors", model, spec)
    again, read = load_model(tmp_path / "a.safetensors")
    images_NCHW = torch.randn(3, *spec.input_chw)
    assert torch.equal(again(images_NCHW), model.to(memory_format=torch.contiguous_format)(images_NCHW))
    assert sha256_file(tmp_path / "a.safetensors") == sha256_file(tmp_path / "b.safetensors")
    assert read == stored == describe(model, spec)
    assert not again.training


@pytest.mark.parametrize("arch", ["tiny", "squeezenet1_1", "mobilenet_v3_small"])
def test_a_head_of_another_size_stays_fresh(tmp_path, lively, arch):
    source, spec = lively(arch)
    save_model(tmp_path / "five.safetensors", source, spec)
    other = new_spec(arch, ["x", "y"], 64)
    model = build_model(other, seed=3)
    fresh = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert load_pretrained(model, other, tmp_path / "five.safetensors") is False
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, fresh[name])}
    head = "classifier." + {"tiny": "", "squeezenet1_1": "1.", "mobilenet_v3_small": "3."}[arch]
    assert not any(name.startswith(head) for name in changed)
    for name, tensor in source.state_dict().items():
        assert name.startswith(head) or torch.equal(model.state_dict()[name], tensor)


def test_a_head_of_the_same_size_is_loaded(tmp_path, lively):
    source, spec = lively("tiny")
    save_model(tmp_path / "five.safetensors", source, spec)
    model = build_model(spec, seed=3).eval()
    assert load_pretrained(model, spec, str(tmp_path / "five.safetensors")) is True
    images_NCHW = torch.randn(2, *spec.input_chw)
    assert torch.equal(model(images_NCHW), source(images_NCHW))


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
def test_pth_files_with_wrappers_and_prefixes(tmp_path, lively, wrap):
    source, spec = lively("tiny")
    torch.save(wrap({f"module.{name}": tensor for name, tensor in source.state_dict().items()}), tmp_path / "w.pth")
    model = build_model(spec, seed=3)
    assert load_pretrained(model, spec, tmp_path / "w.pth") is True
    assert torch.equal(model.conv_stem.weight, source.conv_stem.weight)


def test_none_changes_nothing():
    spec = new_spec("tiny", ["a"])
    model = build_model(spec)
    before = model.conv_stem.weight.clone()
    assert load_pretrained(model, spec, "none") is False
    assert torch.equal(model.conv_stem.weight, before)


def test_every_tensor_that_does_not_fit_is_named(tmp_path, lively):
    source, spec = lively("tiny")
    tensors = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    tensors["conv_stem.weight"] = torch.zeros(8, 3, 3, 3)
    tensors["extra.weight"] = torch.zeros(1)
    del tensors["bn2.bias"], tensors["bn1.num_batches_tracked"]
    save_file(tensors, tmp_path / "odd.safetensors")
    with pytest.raises(ModelFileError) as caught:
        load_pretrained(build_model(spec), spec, tmp_path / "odd.safetensors")
    message = caught.value.message
    assert "'conv_stem.weight' is [8, 3, 3, 3], needed [16, 3, 3, 3]" in message
    assert "'bn2.bias' missing" in message
    assert "'extra.weight' unexpected" in message
    assert "num_batches_tracked" not in message


def test_a_file_without_the_head_is_refused(tmp_path, lively):
    source, spec = lively("tiny")
    tensors = {name: t for name, t in source.state_dict().items() if not name.startswith("bn1.")}
    save_file(tensors, tmp_path / "cut.safetensors")
    with pytest.raises(ModelFileError, match=r"'bn1\.weight' missing"):
        load_pretrained(build_model(spec), spec, tmp_path / "cut.safetensors")


def test_code_in_a_pth_file_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path(tmp_path / "ran").touch, ())

    torch.save({"state_dict": Bomb()}, tmp_path / "bomb.pth")
    spec = new_spec("tiny", ["a"])
    with pytest.raises(ModelFileError, match=r"bomb\.pth"):
        load_pretrained(build_model(spec), spec, tmp_path / "bomb.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["bad.safetensors", "bad.pth", "bad.onnx"])
def test_damaged_and_foreign_weight_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"not weights at all")
    spec = new_spec("tiny", ["a"])
    with pytest.raises(ModelFileError, match=name):
        load_pretrained(build_model(spec), spec, tmp_path / name)
    with pytest.raises(ModelFileError, match="no such file"):
        load_pretrained(build_model(spec), spec, tmp_path / "absent.safetensors")


def test_damaged_model_files_name_themselves(tmp_path, lively):
    model, spec = lively("tiny")
    save_model(tmp_path / "whole.safetensors", model, spec)
    whole = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    for name in ("cut", "empty"):
        with pytest.raises(ModelFileError, match=rf"{name}\.safetensors: damaged") as damaged:
            load_model(tmp_path / f"{name}.safetensors")
        assert "copy or download it again" in damaged.value.hint
        assert "0 bytes" in damaged.value.hint or name == "cut"
    with pytest.raises(ModelFileError, match="no such file"):
        load_model(tmp_path / "absent.safetensors")


def test_a_model_file_needs_a_spec_that_fits(tmp_path, lively):
    model, spec = lively("tiny")
    tensors = dict(model.state_dict())
    save_file(tensors, tmp_path / "foreign.safetensors")
    with pytest.raises(ModelFileError, match="no spec") as caught:
        load_model(tmp_path / "foreign.safetensors")
    assert "--weights" in caught.value.hint
    assert "--set teacher_arch=ARCH --set teacher_weights=" in caught.value.hint
    save_file(tensors, tmp_path / "broken.safetensors", metadata={SPEC_KEY: json.dumps({"arch": "tiny"})})
    with pytest.raises(ModelFileError, match="'labels'"):
        load_model(tmp_path / "broken.safetensors")
    more = spec.model_copy(update={"labels": (*spec.labels, "f")})
    save_file(tensors, tmp_path / "more.safetensors", metadata={SPEC_KEY: more.model_dump_json()})
    with pytest.raises(ModelFileError, match=r"'classifier\.weight' is \[5, 256\], needed \[6, 256\]"):
        load_model(tmp_path / "more.safetensors")
    unknown = spec.model_copy(update={"arch": "resnet50"})
    save_file(tensors, tmp_path / "unknown.safetensors", metadata={SPEC_KEY: unknown.model_dump_json()})
    with pytest.raises(ModelFileError, match=r"unknown\.safetensors: .*resnet50"):
        load_model(tmp_path / "unknown.safetensors")


@pytest.mark.real
@pytest.mark.parametrize(
    ("arch", "name"),
    [
        ("tf_mobilenetv3_small_100", "tf_mobilenetv3_small_100.timm.imagenet"),
        ("mobilenetv2_100_same", "mobilenetv2_100-samepad.timm.imagenet"),
        ("squeezenet1_1", "squeezenet1_1.torchvision.imagenet"),
    ],
)
def test_supplied_weights_load(real_data, arch, name):
    path = real_data / "weights" / f"{name}.safetensors"
    thousand = new_spec(arch, [str(index) for index in range(1000)])
    assert load_pretrained(build_model(thousand), thousand, path) is True
    few = new_spec(arch, ["a", "b"])
    assert load_pretrained(build_model(few), few, path) is False


def test_the_spec_is_read_from_the_header_alone(tmp_path):
    spec = new_spec("tiny", ["a", "b"])
    stored = save_model(tmp_path / "m.safetensors", build_model(spec), spec)
    assert read_spec_of(tmp_path / "m.safetensors") == stored
    save_file({"a": torch.ones(1)}, tmp_path / "plain.safetensors")
    assert read_spec_of(tmp_path / "plain.safetensors") is None
    (tmp_path / "bad.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelFileError, match=r"bad\.safetensors: damaged"):
        read_spec_of(tmp_path / "bad.safetensors")
