"""On the package index `imgc` is another project: nothing here may tell anybody to install it from there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from compress.package import DISTRIBUTION

ROOT = Path(__file__).parents[2]
# `pip install imgc` with options and quotes between, `imgc[extra]`, `imgc==1.0`; not `pip install ./imgc_toolkit...`
_WRONG = re.compile(
    r"(?:pip3?|pipx|uv(?: pip| tool)?)\s+(?:install|download|add)\s[^\n;&|`]*?(?<![\w./-])imgc(?![\w-])"
    r"|(?<![\w.-])imgc(?:\[[a-z,]+\]|==\d)"
)
_OWN = "tests/guards/test_name.py"  # holds the wrong cases


def wrong_names(text: str) -> list[str]:
    """Return what would install another project's `imgc`."""
    return [match.group() for match in _WRONG.finditer(text)]


@pytest.mark.parametrize(
    "text",
    [
        "pip install imgc",
        "v/bin/pip install --upgrade 'imgc'",
        'pip install "imgc[serve]"',
        "python -m pip install -q numpy imgc",
        "uv pip install imgc",
        "pipx install imgc",
        "needs imgc[tensorflow]; float32",
        "imgc==0.1.0",
    ],
)
def test_the_check_sees_the_other_project_s_name(text: str):
    assert wrong_names(text)


@pytest.mark.parametrize(
    "text",
    [
        f"pip install '{DISTRIBUTION}[serve]'",
        f"pip install {DISTRIBUTION}",
        "pip install --no-deps --no-index imgc_toolkit-*.whl",
        "pip install --quiet uv && imgc run recipe.yaml",
        "`pip install .` brings the command `imgc`",
        "imgc init IMAGES",
        'found["imgc"]',
    ],
)
def test_the_check_lets_our_own_name_pass(text: str):
    assert wrong_names(text) == []


def test_nothing_here_installs_another_project():
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        **{"cwd": ROOT, "capture_output": True, "text": True, "check": True},
    ).stdout.split("\n")
    found, read = {}, 0
    for name in names:
        path = ROOT / name
        if name in ("", _OWN) or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an image
        read += 1
        if wrong := wrong_names(text):
            found[name] = wrong
    assert read > 500
    assert not found
