"""What this package is called where it is installed from, its version, and what it declares to need. One place.

The command is `imgc` and the import `compress`; on the package index the name `imgc` is another project's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

DISTRIBUTION = "imgc-toolkit"
VERSION = "0.1.0"
_PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
_LICENSE = "LICENSE"


@dataclass(frozen=True)
class Declared:
    """What the distribution declares.

    Attributes:
        requires_python: such as ">=3.11".
        requires: each requirement as in a wheel's metadata; those of an extra end in `; extra == "NAME"`.
    """

    requires_python: str
    requires: tuple[str, ...]


def with_extra(extra: str) -> str:
    """Return the distribution with an extra, such as `imgc-toolkit[serve]`; "" is the base alone."""
    return f"{DISTRIBUTION}[{extra}]" if extra else DISTRIBUTION


def install_command(extra: str = "") -> str:
    """Return the command that installs an extra."""
    return f"pip install '{with_extra(extra)}'"


def declared() -> Declared:
    """Return what the distribution needs: in a checkout what pyproject.toml says now, else what was installed.

    Raises:
        importlib.metadata.PackageNotFoundError: neither is there.
    """
    if (project := _checkout()) is not None:
        extras: dict[str, list[str]] = project["optional-dependencies"]
        of_extras = [f'{text}; extra == "{name}"' for name, texts in extras.items() for text in texts]
        return Declared(project["requires-python"], (*project["dependencies"], *of_extras))
    from importlib.metadata import distribution

    found = distribution(DISTRIBUTION)
    return Declared(str(found.metadata["Requires-Python"]), tuple(found.requires or ()))


def license_text() -> str:
    """Return the licence, which every copy has to carry: in a checkout the file there, else the one installed.

    Raises:
        importlib.metadata.PackageNotFoundError: neither is there.
        FileNotFoundError: the checkout or the installed package lacks it.
    """
    if _checkout() is not None:
        return (_PYPROJECT.parent / _LICENSE).read_text(encoding="utf-8")
    from importlib.metadata import distribution

    text = distribution(DISTRIBUTION).read_text(f"licenses/{_LICENSE}")
    if text is None:
        raise FileNotFoundError(f"the installed {DISTRIBUTION} has no file licenses/{_LICENSE}")
    return text


def _checkout() -> dict[str, Any] | None:
    """Return the project table of the pyproject.toml beside the package, None where it is not ours or not there."""
    import tomllib

    if not _PYPROJECT.is_file():
        return None
    project: dict[str, Any] = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8")).get("project", {})
    return project if project.get("name") == DISTRIBUTION else None
