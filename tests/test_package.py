from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import compress
from compress import package

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_pyproject_says_the_same_name_and_asks_the_package_for_its_version():
    assert PROJECT["name"] == package.DISTRIBUTION
    extras = set(PROJECT["optional-dependencies"]) - {"all", "dev"}
    (everything,) = PROJECT["optional-dependencies"]["all"]
    assert set(everything.removeprefix(f"{package.DISTRIBUTION}[").removesuffix("]").split(",")) == extras
    assert "version" not in PROJECT, "one place says it"
    assert compress.__version__ == package.VERSION


def test_the_command_that_installs_an_extra():
    assert package.install_command("serve") == "pip install 'imgc-toolkit[serve]'"
    assert package.install_command() == "pip install 'imgc-toolkit'"


def test_a_checkout_declares_what_its_pyproject_says():
    found = package.declared()
    assert found.requires_python == PROJECT["requires-python"]
    assert set(PROJECT["dependencies"]) < set(found.requires)
    assert f'{PROJECT["optional-dependencies"]["video"][0]}; extra == "video"' in found.requires


@pytest.mark.parametrize("text", [None, '[project]\nname = "another"\nrequires-python = ">=3.99"\n', "[tool.x]\n"])
def test_elsewhere_it_declares_what_was_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None):
    if text is not None:
        (tmp_path / "pyproject.toml").write_text(text)
    info = tmp_path / "site" / "imgc_toolkit-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: imgc-toolkit\nVersion: 0.1.0\nRequires-Python: >=3.11\n"
        'Requires-Dist: numpy>=2.0\nRequires-Dist: torch>=2.9; extra == "train"\n'
    )
    monkeypatch.setattr(package, "_PYPROJECT", tmp_path / "pyproject.toml")
    monkeypatch.syspath_prepend(info.parent)
    assert package.declared() == package.Declared(">=3.11", ("numpy>=2.0", 'torch>=2.9; extra == "train"'))
    with pytest.raises(FileNotFoundError, match="licenses/LICENSE"):
        package.license_text()
    (info / "licenses").mkdir()
    (info / "licenses" / "LICENSE").write_text("of the installed one")
    assert package.license_text() == "of the installed one"


def test_a_checkout_has_its_licence():
    assert package.license_text() == (ROOT / "LICENSE").read_text()
