"""The wheel that `make wheel` builds, and the one that a bundle carries: the same package."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tomllib
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from compress.core.wheel import SERVE_LOCK, write_wheel
from compress.package import VERSION

ROOT = Path(__file__).parents[2]
NAME = f"imgc_toolkit-{VERSION}-py3-none-any.whl"
INFO = f"imgc_toolkit-{VERSION}.dist-info"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return what is in the wheel of `make wheel`, built from a copy of the checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        **{"cwd": ROOT, "capture_output": True, "text": True, "check": True},
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file() and not name.startswith("calibration_data/"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    stale = copy / "build" / "lib" / "compress" / "gone.py"  # what setuptools would pack again
    stale.parent.mkdir(parents=True)
    stale.write_text("")
    done = subprocess.run(
        ["make", "--old-file", "setup", "wheel", f"VENV={sys.prefix}"],
        **{"cwd": copy, "capture_output": True, "text": True, "check": False},
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (copy / "dist").iterdir()] == [NAME]
    return contents(copy / "dist" / NAME)


def contents(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def in_package(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name.startswith("compress/")}


def test_the_wheel_holds_the_package_and_what_it_reads(built: dict[str, bytes]) -> None:
    data = ["compress/py.typed", "compress/benchmark/bench.schema.json", "compress/core/serve.lock"]
    data += [path.relative_to(ROOT).as_posix() for path in (ROOT / "compress/tune/devices").glob("*.yaml")]
    data += [path.relative_to(ROOT).as_posix() for path in (ROOT / "compress/serve/page").iterdir() if path.is_file()]
    assert len(data) > 8
    assert set(data) <= set(built)
    assert {"compress/cli/main.py", "compress/package.py"} <= set(built)


def test_the_wheel_holds_nothing_else(built: dict[str, bytes]) -> None:
    assert {name.split("/")[0] for name in built} == {"compress", INFO}, "no evals, no tests"
    assert "compress/gone.py" not in built


def test_the_wheel_says_who_it_is(built: dict[str, bytes]) -> None:
    found = Parser().parsestr(built[f"{INFO}/METADATA"].decode())
    assert (found["Name"], found["Version"]) == ("imgc-toolkit", VERSION)
    assert b"imgc = compress.cli.main:app" in built[f"{INFO}/entry_points.txt"]


def test_a_bundle_s_wheel_is_the_one_that_make_builds(built: dict[str, bytes], tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path)
    assert wheel.name == NAME
    packed = contents(wheel)
    assert in_package(packed) == in_package(built)
    ours, theirs = (Parser().parsestr(files[f"{INFO}/METADATA"].decode()) for files in (packed, built))
    for field in ("Name", "Version", "Requires-Python", "License-Expression", "License-File"):
        assert ours[field] == theirs[field]
    assert ours.get_all("Provides-Extra") == theirs.get_all("Provides-Extra")
    assert needs(ours.get_all("Requires-Dist")) == needs(theirs.get_all("Requires-Dist"))
    license_file = f"{INFO}/licenses/LICENSE"
    assert packed[license_file] == built[license_file]
    entry_points = f"{INFO}/entry_points.txt"
    assert packed[entry_points].split() == built[entry_points].split()


def needs(texts: list[str] | None) -> set[Requirement]:
    return {Requirement(text) for text in texts or ()}


def test_the_record_of_a_bundle_s_wheel_is_true(tmp_path: Path) -> None:
    packed = contents(write_wheel(tmp_path))
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(packed[f"{INFO}/RECORD"].decode()))}
    assert set(rows) == set(packed)
    assert rows.pop(f"{INFO}/RECORD") == ["", ""]
    for name, (digest, size) in rows.items():
        expected = base64.urlsafe_b64encode(hashlib.sha256(packed[name]).digest()).rstrip(b"=").decode()
        assert (digest, size) == (f"sha256={expected}", str(len(packed[name])))


def test_the_same_package_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    assert write_wheel(one).read_bytes() == write_wheel(two).read_bytes()


def pins(text: str) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", text, flags=re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_the_lock_of_serve_is_the_environment_s_with_hashes() -> None:
    """`make lock` writes both; a new requirement of the base or of `serve` has to be in it."""
    text = SERVE_LOCK.read_text()
    locked, environment = pins(text), pins((ROOT / "requirements.lock").read_text())
    elsewhere = {"colorama"}  # of Windows
    assert {name: locked[name] for name in locked if name not in elsewhere} == {
        name: environment[name] for name in locked if name not in elsewhere
    }, "run: make lock"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for wanted in map(Requirement, (*project["dependencies"], *project["optional-dependencies"]["serve"])):
        assert wanted.specifier.contains(locked[wanted.name]), f"{wanted}: run `make lock`"
    assert not {"torch", "tensorflow", "onnx", "imgc", "imgc-toolkit"} & set(locked)
    entries = re.split(r"\n(?=\S)", text.split("\n", 2)[2])
    assert len(entries) == len(locked)
    assert all("--hash=sha256:" in entry for entry in entries)
