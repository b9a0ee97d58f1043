from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from compress.errors import UsageError
from compress.models.arch_names import ARCH_NAMES
from compress.models.arch_tensors import ARCH_TENSORS, fitting_archs, tensors_digest
from compress.models.archs import ARCHS


def test_the_table_has_every_architecture():
    assert tuple(ARCH_TENSORS) == ARCH_NAMES


@pytest.mark.parametrize("arch", ARCH_NAMES)
def test_each_digest_is_that_of_the_network(arch):
    shapes = {name: tensor.shape for name, tensor in ARCHS[arch].build(7).state_dict().items()}
    head, digest = ARCH_TENSORS[arch]
    assert head == ARCHS[arch].head
    assert tensors_digest(shapes, head) == digest, f"{arch}: put {tensors_digest(shapes, head)} into the table"


def test_a_file_fits_with_other_classes_and_without_counters(tmp_path):
    tensors = ARCHS["mobilenetv2_100"].build(3).state_dict()
    save_file({name: t for name, t in tensors.items() if "num_batches" not in name}, tmp_path / "w.safetensors")
    assert fitting_archs(tmp_path / "w.safetensors") == ("mobilenetv2_100", "mobilenetv2_100_same")
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors", metadata={"a": "b"})
    assert fitting_archs(tmp_path / "x.safetensors") == ()


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\x08" + bytes(7) + b"no json!", b"\x02" + bytes(7) + b"[]", b"\xff" * 99]
)
def test_a_damaged_file_says_so(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(UsageError, match="damaged, or no safetensors file"):
        fitting_archs(tmp_path / "w.safetensors")
