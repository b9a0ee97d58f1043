"""Weights in and out of files: safetensors with the spec inside, strict loads, no pickle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from compress.core.spec import SPEC_KEY, ModelSpec
from compress.core.storage import atomic_path
from compress.errors import ImgcError, ModelFileError
from compress.models.arch_tensors import archs_of
from compress.models.build import arch_info, build_model, describe
from compress.models.checkpoint import read_checkpoint
from compress.models.published import published_weights
from compress.models.tensor_names import below, prefix_of, unwrapped

NO_WEIGHTS = "none"
IMAGENET = "imagenet"
IMAGENET_CLASSES = 1000
_COUNTER = "num_batches_tracked"  # not learned, and absent from old files


def save_model(path: Path, model: nn.Module, spec: ModelSpec) -> ModelSpec:
    """Write one self-describing safetensors file, atomically; equal weights give equal bytes.

    Returns:
        The spec as stored: with the layer table, parameters and MACs of this very network.
    """
    stored = describe(model, spec)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={SPEC_KEY: stored.model_dump_json()})
    return stored


def load_model(path: Path) -> tuple[nn.Module, ModelSpec]:
    """Return the network of a file made by `save_model`, in eval mode on the CPU, and its spec. Strict.

    Raises:
        ModelFileError: no such file, damaged, without a spec, or with tensors that do not fit it.
    """
    tensors, metadata = _read_safetensors(path)
    spec = _spec_from(metadata, path)
    try:
        model = build_model(spec)
    except ImgcError as error:
        raise ModelFileError(f"{path}: {error.message}", hint=error.hint) from error
    if problems := _misfits(model.state_dict(), tensors):
        raise ModelFileError(f"{path}: the weights do not fit the spec inside the file: {_listing(problems)}")
    model.load_state_dict(tensors)
    return model.eval(), spec


def load_pretrained(model: nn.Module, spec: ModelSpec, weights: str | Path) -> bool:
    """Load published or saved weights into a fresh network, in place.

    The classifier is loaded when the file has as many classes as the spec, and left fresh when it has another
    number; every other tensor must be there and fit.

    Args:
        model: the network of `spec`.
        spec: says the architecture.
        weights: "none" (nothing is done), "imagenet" (downloaded by torchvision or timm), or a .safetensors or
            .pth file (.pth is read as tensors only, never unpickled as code).

    Returns:
        True when the classifier was loaded too.

    Raises:
        ModelFileError: the file is damaged or its tensors do not fit; the message names them.
        DataError: the download failed.
        UsageError: nobody publishes ImageNet weights for this architecture.
    """
    if str(weights) == NO_WEIGHTS:
        return False
    info = arch_info(spec.arch)
    if str(weights) == IMAGENET:
        source, tensors = f"ImageNet weights of {spec.arch}", published_weights(spec.arch, info)
    else:
        source, tensors = str(weights), read_weights(Path(weights))
    own = model.state_dict()
    tensors = _behind_prefix(tensors, own)
    require_finite(tensors, source)
    given = tensors
    same_head = _classes(tensors, info.head) == _classes(own, info.head)
    if not same_head:  # keep the fresh head, both weight and bias
        fresh = {name: own[name] for name in own if name.startswith(f"{info.head}.")}
        tensors = {**{name: t for name, t in tensors.items() if not name.startswith(f"{info.head}.")}, **fresh}
    if problems := _misfits(own, tensors):
        raise _not_of(source, spec.arch, given, own, problems, "or `weights: none`")
    model.load_state_dict({**{name: own[name] for name in own if name.endswith(_COUNTER)}, **tensors})
    return same_head


def load_strictly(model: nn.Module, path: Path, arch: str) -> None:
    """Load a file's tensors into a network in place; each must be there and fit, the classifier's too.

    Raises:
        ModelFileError: the file is damaged or its tensors do not fit `arch`; the message names them.
    """
    own = model.state_dict()
    tensors = _behind_prefix(read_weights(path), own)
    require_finite(tensors, str(path))
    if problems := _misfits(own, tensors):
        raise ModelFileError(
            f"{path}: does not fit the architecture '{arch}': {_listing(problems)}",
            hint="give weights of the same architecture, fine-tuned on the images of this run: "
            "its classifier must have their classes",
        )
    model.load_state_dict({**{name: own[name] for name in own if name.endswith(_COUNTER)}, **tensors})


def classes_of_weights(arch: str, weights: str | Path) -> int:
    """Return the number of classes of published or saved weights; published ones, and fresh ones, have 1000.

    Raises:
        ModelFileError: the file is damaged, or has no classifier where this architecture has it.
        UsageError: the architecture is unknown.
    """
    info = arch_info(arch)
    if str(weights) in (NO_WEIGHTS, IMAGENET):
        return IMAGENET_CLASSES
    tensors = read_weights(Path(weights))
    tensors = _behind_prefix(tensors, (f"{info.head}.weight",))
    classes = _classes(tensors, info.head)
    if classes is None:
        raise ModelFileError(
            f"{weights}: does not fit the architecture '{arch}': no tensor '{info.head}.weight' among its "
            f"{len(tensors)} ({_listing(sorted(tensors), 4)})",
            hint="give the file of the same architecture",
        )
    return classes


def require_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Return if no tensor holds NaN or infinity.

    Raises:
        ModelFileError: names the tensors that do.
    """
    bad = [f"'{name}'" for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        raise ModelFileError(
            f"{source}: {len(bad)} tensors hold NaN or infinity: {_listing(bad)}",
            hint="the training that made it diverged, or the file is damaged; take an earlier file",
        )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file by name, without wrappers and prefixes; see `read_checkpoint`.

    Raises:
        ModelFileError: no such file, damaged, of another kind, or holding what is neither tensors nor known data.
    """
    if path.suffix.lower() != ".safetensors":
        return read_checkpoint(path)
    tensors = _read_safetensors(path)[0]
    return {name: tensors[whole] for whole, name in unwrapped(tensors).items()}


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError as error:
        raise _not_there(path) from error
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path}: damaged, or no safetensors file: {_first_line(error)}",
            hint=f"copy or download it again, or make it again; it has {_size_bytes(path):,} bytes now",
        ) from error


def read_spec_of(path: Path) -> ModelSpec | None:
    """Return the spec in a file's header, None where it has none; no tensor is read.

    Raises:
        ModelFileError: the file is damaged, or its spec is of another version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path}: damaged, or no safetensors file: {_first_line(error)}") from error
    return _spec_from(metadata, path) if SPEC_KEY in metadata else None


def _spec_from(metadata: Mapping[str, str], path: Path) -> ModelSpec:
    if SPEC_KEY not in metadata:
        raise ModelFileError(
            f"{path}: holds weights but no spec ('{SPEC_KEY}' in its metadata), so it was not written by imgc",
            hint=f"say which architecture they are of: imgc train --arch ARCH --weights {path}, "
            f"or imgc quantize --arch ARCH --weights {path}; as a teacher: imgc distill --set teacher_arch=ARCH "
            f"--set teacher_weights={path}, fine-tuned on the images",
        )
    try:
        return ModelSpec.model_validate_json(metadata[SPEC_KEY])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelFileError(f"{path}: the spec inside is invalid at '{where}': {first['msg']}") from error


def _classes(tensors: Mapping[str, Tensor], head: str) -> int | None:
    weight = tensors.get(f"{head}.weight")
    return None if weight is None or weight.ndim == 0 else weight.shape[0]


def _misfits(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """Return what is wrong with `given`, tensor by tensor."""
    problems = []
    for name, tensor in own.items():
        if name not in given:
            if not name.endswith(_COUNTER):
                problems.append(f"'{name}' missing")
        elif given[name].shape != tensor.shape:
            problems.append(f"'{name}' is {list(given[name].shape)}, needed {list(tensor.shape)}")
    return problems + [f"'{name}' unexpected" for name in given if name not in own]


def _behind_prefix(tensors: dict[str, Tensor], own: Iterable[str]) -> dict[str, Tensor]:
    """Return the tensors behind the prefix that makes their names this network's, where there is one."""
    prefix = prefix_of(tensors, own)
    return {name: tensors[whole] for name, whole in below(tensors, prefix).items()}


def _not_of(
    source: str,
    arch: str,
    tensors: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    problems: list[str],
    or_else: str,
) -> ModelFileError:
    """Return the error of tensors that are not this architecture's: whose they are, or what they share with it."""
    others = archs_of({name: list(tensor.shape) for name, tensor in tensors.items()})
    if others:
        return ModelFileError(
            f"{source}: holds the tensors of {' or '.join(others)}, not of '{arch}'",
            hint=f"say so (arch: {others[0]}), {or_else}",
        )
    shared = sum(name in tensors for name in own)
    if shared * 2 < len(own):
        return ModelFileError(
            f"{source}: not the architecture '{arch}': {shared} of its {len(own)} tensors are in the file, whose names "
            f"are such as {', '.join(sorted(tensors)[:3])}",
            hint=f"give the file of the same architecture, {or_else}",
        )
    return ModelFileError(
        f"{source}: does not fit the architecture '{arch}': {_listing(problems)}",
        hint=f"give the file of the same architecture, {or_else}",
    )


def _listing(problems: list[str], count: int = 8) -> str:
    more = f"; and {len(problems) - count} more" if len(problems) > count else ""
    return "; ".join(problems[:count]) + more


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _size_bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _not_there(path: Path) -> ModelFileError:
    return ModelFileError(f"{path}: no such file")
