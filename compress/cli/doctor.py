"""`imgc doctor`: what this machine and this environment can do, and what installs the rest."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from compress.cli.options import AsJson
from compress.cli.output import echo
from compress.package import VERSION, declared, install_command

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?P<wanted>[^;\[]*)(?:;.*extra == ['\"](?P<extra>\w+)['\"])?$")
_EXTRAS = (
    "",
    "serve",
    "train",
    "tensorflow",
    "video",
)  # "" is the base; the smallest extra that holds a package comes first
_PURPOSE = {
    "": "recipes and the command line",
    "serve": "serving, evaluating ONNX and TFLite files",
    "train": "training, pruning, distilling, quantizing, exporting",
    "tensorflow": "the second converter to TFLite",
    "video": "predicting videos and cameras",
}


@dataclass(frozen=True)
class Package:
    """One dependency: its version here (None: absent) and the extra that installs it ("" for the base)."""

    name: str
    wanted: str
    version: str | None
    extra: str


def doctor(as_json: AsJson = False) -> None:
    """Show versions, CPU features, and how to install what is missing."""
    found = examine()
    if as_json:
        from compress.cli.output import print_json

        print_json(found)
        return
    _print(found)


def examine() -> dict[str, Any]:
    """Return {"imgc", "host", "packages", "missing", "advice"}, all JSON."""
    from compress.runtime.host import host

    packages = list_packages()
    missing = sorted({package.extra for package in packages if package.version is None})
    machine = host()
    return {
        "imgc": VERSION,
        "host": machine,
        "packages": [asdict(package) for package in packages],
        "missing": [package.name for package in packages if package.version is None],
        "advice": [_install_line(extra) for extra in missing] + cpu_advice(machine),
    }


def list_packages() -> list[Package]:
    """Return what `imgc` declares to need, each once, under the smallest extra that installs it."""
    by_name: dict[str, Package] = {}
    for text in declared().requires:
        match = _REQUIREMENT.match(text.strip())
        extra = (match["extra"] or "") if match else "?"
        if match and extra in _EXTRAS:
            known = by_name.get(match["name"])
            if known is None or _EXTRAS.index(extra) < _EXTRAS.index(known.extra):
                name = match["name"]
                by_name[name] = Package(name, match["wanted"].strip(), _version(name), extra)
    return sorted(by_name.values(), key=lambda package: (_EXTRAS.index(package.extra), package.name))


def cpu_advice(machine: dict[str, Any]) -> list[str]:
    """Return what the CPU's features mean for int8 speed."""
    flags = {str(flag).lower() for flag in machine.get("flags", ())}
    if any("vnni" in flag for flag in flags):
        return ["CPU: int8 dot products (VNNI), uint8 activations are fast"]
    if "asimddp" in flags:
        return ["CPU: int8 dot products (NEON dotprod), TFLite int8 and ONNX with activation: int8 are fast"]
    if "avx2" in flags:
        return ["CPU: AVX2 without VNNI: int8 is slower than it could be, and ONNX Runtime needs a guard (set by imgc)"]
    return ["CPU: no int8 dot products were found; measure with imgc benchmark before choosing int8"]


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _install_line(extra: str) -> str:
    return f"for {_PURPOSE[extra]}: {install_command(extra)}"


def _print(found: dict[str, Any]) -> None:
    from compress.cli.output import print_facts, print_table

    machine = {"imgc": found["imgc"], **found["host"]}
    print_facts("this machine", [(name, _cell(value)) for name, value in machine.items()])
    rows = [
        (package["name"], package["version"] or "MISSING", package["wanted"], package["extra"] or "base")
        for package in found["packages"]
    ]
    print_table("", ("package", "version", "wanted", "extra"), rows, left=4)
    for line in found["advice"]:
        echo(line)
    if not found["missing"]:
        echo("nothing is missing")


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
