"""Packs this package, as it lies here, into a wheel: for machines that are to run just what ran here.

An installed package holds no sources to build from, so the files themselves are packed. No build tool is needed.
Source: the binary distribution format, https://packaging.python.org/specifications/binary-distribution-format.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from compress.core.storage import atomic_path
from compress.package import DISTRIBUTION, VERSION, declared, license_text

SERVE_LOCK = Path(__file__).with_name("serve.lock")  # what the extra `serve` needs, with hashes; by `make lock`
_PACKAGE = Path(__file__).parents[1]
_STEM = f"{DISTRIBUTION.replace('-', '_')}-{VERSION}"
_INFO = f"{_STEM}.dist-info"
_WHEEL = "Wheel-Version: 1.0\nGenerator: imgc\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_SCRIPTS = "[console_scripts]\nimgc = compress.cli.main:app\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same files give the same bytes


def write_wheel(folder: Path) -> Path:
    """Write the wheel of this package into `folder` and return its path; the same package gives the same bytes."""
    files = {path.relative_to(_PACKAGE.parent).as_posix(): path.read_bytes() for path in _package_files()}
    files |= {
        f"{_INFO}/METADATA": _metadata().encode(),
        f"{_INFO}/WHEEL": _WHEEL.encode(),
        f"{_INFO}/entry_points.txt": _SCRIPTS.encode(),
        f"{_INFO}/licenses/LICENSE": license_text().encode(),
    }
    files[f"{_INFO}/RECORD"] = _record(files).encode()
    wheel = folder / f"{_STEM}-py3-none-any.whl"
    with atomic_path(wheel) as temporary, ZipFile(temporary, "w", ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = ZipInfo(name, _EPOCH)
            info.external_attr = 0o100644 << 16
            archive.writestr(info, content, ZIP_DEFLATED)
    return wheel


def _package_files() -> list[Path]:
    """Return the files of the package; no caches, and nothing hidden that a tool left."""
    found = (path for path in _PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sorted(path for path in found if not any(part[0] == "." for part in path.relative_to(_PACKAGE).parts))


def _metadata() -> str:
    needs = declared()
    extras = dict.fromkeys(re.findall(r'extra == "([\w-]+)"', "\n".join(needs.requires)))
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {DISTRIBUTION}",
        f"Version: {VERSION}",
        "License-Expression: Apache-2.0",
        "License-File: LICENSE",
        f"Requires-Python: {needs.requires_python}",
        *(f"Requires-Dist: {text}" for text in needs.requires),
        *(f"Provides-Extra: {extra}" for extra in extras),
    ]
    return "\n".join(lines) + "\n"


def _record(files: dict[str, bytes]) -> str:
    """Return a line for each file: its name, SHA-256 and size; the record itself has neither."""
    rows = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(content)}")
    return "\n".join([*rows, f"{_INFO}/RECORD,,", ""])
