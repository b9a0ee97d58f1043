"""The stage key: one hash of everything a stage's result depends on, and the parts it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata

from compress.core.dataset import DataConfig
from compress.core.digest import sha256_file, sha256_json
from compress.core.stage import Reporter, SilentReporter, StageConfig
from compress.package import VERSION

KEY_VERSION = 1
ALWAYS = ("numpy", "pillow")  # what every image passes through


def key_parts(
    config: StageConfig,
    inputs: Mapping[str, str],
    seed: int,
    fingerprint: Callable[[], str],
    reporter: Reporter | None = None,
) -> dict[str, object]:
    """Return what the key hashes, as JSON data.

    Args:
        config: the stage's options. Its id and its references do not count; files and folders it names count by
            content.
        inputs: role -> SHA-256 of the input's content.
        seed: the run's seed.
        fingerprint: gives the data's fingerprint; called only if the stage reads images.
        reporter: hears about the images that are opened to know what a folder holds.

    Raises:
        DataError: a folder that the stage names holds no images.
    """
    return {
        "key_version": KEY_VERSION,
        "kind": config.kind,
        "version": config.version,
        "config": _options(config, inputs, reporter or SilentReporter()),
        "inputs": dict(inputs),
        "seed": seed,
        "data": fingerprint() if config.uses_data else None,
        "backends": {"imgc": VERSION, **{name: _installed(name) for name in (*ALWAYS, *config.backends)}},
    }


def key_of(parts: Mapping[str, object]) -> str:
    """Return the key: 64 hex digits."""
    return sha256_json(parts)


def lazy_fingerprint(data: DataConfig | None, seed: int, reporter: Reporter) -> Callable[[], str]:
    """Return a function that gives the data's fingerprint and reads the images once, when first asked."""

    @cache
    def fingerprint() -> str:
        if data is None:
            return ""
        from compress.data.dataset import load_dataset

        return load_dataset(data, seed=seed, reporter=reporter, task=None).fingerprint

    return fingerprint


def changes(before: Mapping[str, object], after: Mapping[str, object], prefix: str = "") -> list[str]:
    """Return one line for each part that differs, such as `config.keep: 0.7 -> 0.5`; hashes are shortened."""
    lines = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            lines += changes(old, new, f"{prefix}{name}.")
        else:
            lines.append(f"{prefix}{name}: {_short(old)} -> {_short(new)}")
    return lines


def _options(config: StageConfig, inputs: Mapping[str, str], reporter: Reporter) -> dict[str, object]:
    options = config.model_dump(mode="json", by_alias=True)
    for name in {"id", "from", *config.references(), *config.unkeyed}:
        options.pop(name.partition(":")[0], None)  # "teacher:2" is the second of the option `teacher`
    for name, path in config.files().items():
        _replace(options, name.split("."), f"sha256:{sha256_file(path)}")
    for name, path in config.folders().items():
        from compress.data.images import images_fingerprint  # needs Pillow, which a plan does not

        _replace(options, name.split("."), f"images:{images_fingerprint(path, reporter)}")
    return options


def _replace(options: dict[str, object], keys: list[str], value: str) -> None:
    """Set a dotted option; a file that belongs to no option of that name still counts."""
    for key in keys[:-1]:
        below = options.get(key)
        if not isinstance(below, dict):
            break
        options = below
    options[keys[-1]] = value


def _installed(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) >= 64 and " " not in text else text
