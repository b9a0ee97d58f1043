"""Which architectures a weights file fits, told from its header alone: no torch, no tensor is read.

An architecture is known by a digest of the names and shapes of its tensors, without its classifier, which is made for
other classes anyway, and without the counters of batch norm, which older files lack. `tests/models` builds each network
and compares.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from compress.core.digest import sha256_json
from compress.errors import UsageError
from compress.models.tensor_names import unwrapped

# arch -> (module name of its classifier, digest)
ARCH_TENSORS: dict[str, tuple[str, str]] = {
    "mobilenet_v3_small": ("classifier.3", "26a5e7e8e0a0731f"),
    "mobilenet_v3_large": ("classifier.3", "f030a04898eb6a07"),
    "squeezenet1_0": ("classifier.1", "0ef2f338ffcc23dc"),
    "squeezenet1_1": ("classifier.1", "0b29030a9ef0c85a"),
    "tf_mobilenetv3_small_075": ("classifier", "e09eebfdf90a3e34"),
    "tf_mobilenetv3_small_100": ("classifier", "c05278ff302911e0"),
    "mobilenetv2_100": ("classifier", "5b8a7b5cb7ff4f64"),
    "mobilenetv2_100_same": ("classifier", "5b8a7b5cb7ff4f64"),
    "tf_efficientnet_lite0": ("classifier", "d47c2201fd05cf75"),
    "tf_efficientnet_lite1": ("classifier", "af5e5e0a36afc30e"),
    "tf_efficientnet_lite2": ("classifier", "66b5c7f9f6bc8b12"),
    "tf_efficientnet_lite3": ("classifier", "07ff4921a1113f3b"),
    "tf_efficientnet_lite4": ("classifier", "708ecb93230eb5a8"),
    "tiny": ("classifier", "e0f33f137dcdbbbb"),
}
MAX_HEADER_BYTES = 100 * 1000 * 1000  # as in the safetensors library
_COUNTER = "num_batches_tracked"


def fitting_archs(path: Path) -> tuple[str, ...]:
    """Return the architectures whose tensors, but for the classifier's, a weights file has; () for none.

    Of a .safetensors file only the header is read; other files need torch.

    Raises:
        UsageError: the file has no readable header.
        ModelFileError: another weights file that cannot be read.
    """
    if path.suffix.lower() == ".safetensors":
        return archs_of(_shapes(path))
    from compress.models.checkpoint import read_checkpoint

    return archs_of({name: tuple(tensor.shape) for name, tensor in read_checkpoint(path).items()})


def archs_of(shapes: Mapping[str, Sequence[int]]) -> tuple[str, ...]:
    """Return the architectures whose tensors, but for the classifier's, have these names and shapes."""
    return tuple(arch for arch, (head, digest) in ARCH_TENSORS.items() if tensors_digest(shapes, head) == digest)


def tensors_digest(shapes: Mapping[str, Sequence[int]], head: str) -> str:
    """Return 16 hex digits over names and shapes, without those of `head` and of counters."""
    kept = {name: list(shape) for name, shape in shapes.items() if not name.endswith(_COUNTER)}
    return sha256_json({name: shape for name, shape in kept.items() if not name.startswith(f"{head}.")})[:16]


def _shapes(path: Path) -> dict[str, list[int]]:
    """Return tensor name -> shape. The header is JSON behind its length, eight bytes, least significant first."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length) if length <= MAX_HEADER_BYTES else b"")
        shapes = {name: list(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
        return {name: shapes[whole] for whole, name in unwrapped(shapes).items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(
            f"{path}: damaged, or no safetensors file", hint="copy or download it again, or make it again"
        ) from error
