"""What a recipe may give as `arch:` and `weights:`, without importing torch."""

from __future__ import annotations

import difflib
from pathlib import Path

ARCH_NAMES: tuple[str, ...] = (
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "squeezenet1_0",
    "squeezenet1_1",
    "tf_mobilenetv3_small_075",
    "tf_mobilenetv3_small_100",
    "mobilenetv2_100",
    "mobilenetv2_100_same",
    "tf_efficientnet_lite0",
    "tf_efficientnet_lite1",
    "tf_efficientnet_lite2",
    "tf_efficientnet_lite3",
    "tf_efficientnet_lite4",
    "tiny",
)
DETECTOR_NAMES: tuple[str, ...] = (
    "ssdlite_mobilenet_v3_small",
    "ssdlite_mobilenet_v3_large",
    "ssdlite_mobilenetv2",
)
LIBRARY_PREFIXES = ("timm:", "torchvision:")  # any classifier of these libraries, where one may only answer
FRESH = "none"
PUBLISHED_OR_FRESH = ("imagenet", FRESH)
CHECKPOINT_SUFFIXES = (".pth", ".pt", ".ckpt", ".pth.tar")
WEIGHT_SUFFIXES = (".safetensors", *CHECKPOINT_SUFFIXES)


def known_arch(value: str) -> str:
    """Return the name.

    Raises:
        ValueError: no architecture has it; says which there are, and the nearest.
    """
    if value in ARCH_NAMES:
        return value
    near = difflib.get_close_matches(value, ARCH_NAMES, n=1, cutoff=0.4)
    did_you_mean = f"; did you mean '{near[0]}'?" if near else ""
    raise ValueError(
        f"no architecture is called '{value}' (allowed: {', '.join(ARCH_NAMES)}){did_you_mean}; `imgc archs` lists them"
    )


def known_trainable(value: str) -> str:
    """Return the name of an architecture or of a detector.

    Raises:
        ValueError: nothing has it; says which there are, and the nearest.
    """
    if value in DETECTOR_NAMES:
        return value
    near = difflib.get_close_matches(value, (*ARCH_NAMES, *DETECTOR_NAMES), n=1, cutoff=0.4)
    if near and near[0] in DETECTOR_NAMES:
        allowed = ", ".join(DETECTOR_NAMES)
        raise ValueError(f"no detector is called '{value}' (allowed: {allowed}); did you mean '{near[0]}'?")
    return known_arch(value)


def known_or_library_arch(value: str) -> str:
    """Return the name; behind a library's prefix any name is taken, since only the library can say what it has.

    Raises:
        ValueError: no architecture has it, or a library's prefix stands alone.
    """
    if any(value.startswith(prefix) and value != prefix for prefix in LIBRARY_PREFIXES):
        return value
    try:
        return known_arch(value)
    except ValueError as error:
        raise ValueError(f"{error}; also timm:NAME and torchvision:NAME") from None


def known_weights(value: str) -> str:
    """Return the value.

    Raises:
        ValueError: it is neither a word we know nor a weights file by its name.
    """
    if value in PUBLISHED_OR_FRESH or value.lower().endswith(WEIGHT_SUFFIXES):
        return value
    raise ValueError(f"weights must be imagenet, none, or a file ({', '.join(WEIGHT_SUFFIXES)}), found '{value}'")


def weight_files(weights: str | None) -> dict[str, Path]:
    """Return "weights" -> the file that is meant, nothing where none is."""
    return {} if weights is None or weights in PUBLISHED_OR_FRESH else {"weights": Path(weights)}
