"""Which architectures `imgc tune` searches, and from which weights each starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.cli.init_boxes import detectors_on, has_published
from compress.core.dataset import Task
from compress.errors import UsageError
from compress.models.arch_names import ARCH_NAMES, DETECTOR_NAMES, FRESH, PUBLISHED_OR_FRESH
from compress.models.arch_tensors import fitting_archs

_TINY = "tiny"  # the one classifier for which nobody publishes weights


@dataclass(frozen=True)
class ArchFamily:
    """The architectures of a task.

    Attributes:
        names: all of them.
        usual: those that are searched where none is named and there are weights.
        fitting: a weights file -> those that can start from it.
        has_published: an architecture -> whether `imagenet` may be its weights.
        misplaced: what is wrong with an architecture of the other task.
    """

    names: tuple[str, ...]
    usual: tuple[str, ...]
    fitting: Callable[[Path], Sequence[str]]
    has_published: Callable[[str], bool]
    misplaced: str


_FAMILIES: dict[Task, ArchFamily] = {
    "classify": ArchFamily(
        names=ARCH_NAMES,
        usual=("mobilenet_v3_small", "squeezenet1_1", "mobilenetv2_100"),
        fitting=fitting_archs,
        has_published=lambda _: True,
        misplaced="finds boxes, and these images have classes",
    ),
    "detect": ArchFamily(
        names=DETECTOR_NAMES,
        usual=DETECTOR_NAMES,
        fitting=detectors_on,
        has_published=has_published,
        misplaced="names images, and these have boxes",
    ),
}


def weights_of(task: Task, archs: tuple[str, ...], given: tuple[str, ...]) -> dict[str, str]:
    """Return architecture -> weights: of the files, what fits them; else the word for all architectures.

    Args:
        task: what the images are for.
        archs: of `--arch`.
        given: of `--weights`.

    Raises:
        UsageError: no such architecture or file, one for the other task, or one of them has no counterpart.
    """
    family = _FAMILIES[task]
    for arch in archs:
        _require_known(arch, family)
    words = [one for one in given if one in PUBLISHED_OR_FRESH]
    if len(words) > 1 or (words and len(given) > 1):
        raise UsageError(f"--weights {words[0]}: stands alone", hint="a file for each --arch, or one word for all")
    if not given or words:
        return _by_word(family, archs, words[0] if words else None)
    return _by_file(family, archs, given)


def _require_known(arch: str, family: ArchFamily) -> None:
    if arch in family.names:
        return
    allowed = ", ".join(family.names)
    if any(arch in other.names for other in _FAMILIES.values()):
        raise UsageError(f"--arch {arch}: {family.misplaced}", hint=f"one of {allowed}")
    raise UsageError(f"--arch {arch}: unknown; there are {allowed}")


def _by_word(family: ArchFamily, archs: tuple[str, ...], word: str | None) -> dict[str, str]:
    chosen = archs or tuple(arch for arch in family.usual if word == FRESH or family.has_published(arch))
    found = {arch: word or (FRESH if arch == _TINY else PUBLISHED_OR_FRESH[0]) for arch in chosen}
    for arch, weights in found.items():
        if weights != FRESH and not family.has_published(arch):
            raise UsageError(
                f"--arch {arch}: nobody publishes ImageNet weights of its backbone", hint="--weights FILE, or none"
            )
    return found


def _by_file(family: ArchFamily, archs: tuple[str, ...], given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in given:
        path = Path(one)
        if not path.is_file() or path.suffix.lower() != ".safetensors":
            raise UsageError(
                f"--weights {one}: no such .safetensors file", hint="imagenet, none, or a file for each --arch"
            )
        fitting = [arch for arch in family.fitting(path) if not archs or arch in archs]
        if not fitting:
            raise UsageError(f"--weights {one}: fits none of {', '.join(archs or family.names)}")
        named = [arch for arch in fitting if path.name.startswith(f"{arch}.")]
        found[(named or fitting)[0]] = str(path.resolve())
    if missing := [arch for arch in archs if arch not in found]:
        raise UsageError(
            f"--arch {missing[0]}: no --weights file fits it", hint="give a --weights file for each --arch"
        )
    return found
