"""The field's words: what the project called privately before stays away, in code, messages and docs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# private word -> the field's; as whole words, in any case
PROSE = {
    "picture": "image",
    "pictures": "image",
    "photograph": "image",
    "photographs": "image",
    "rival": "baseline",
    "rivals": "baseline",
    "road": "converter",
    "yardstick": "float reference",
}
# private name -> the name now; in code alone
NAMES = {
    "Yardstick": "FloatReference",
    "Anatomy": "PrunableNetwork",
    "Book": "Study",
    "Asked": "RunningTrial",
    "Tried": "CompletedTrial",
    "Dropped": "PrunedTrial",
    "Crew": "SharedMetrics",
    "Pace": "MachineSpeed",
    "Place": "ProcessRank",
    "read_elsewhere": "read_remote_benchmarks",
    "initializers_of": "constants_of",
}
MODULES = (
    *("points", "judge", "bound", "mixed", "book", "place", "crew", "ahead", "draws", "whole_batch", "start"),
    *("channels", "photographs", "pictures", "elsewhere", "pace", "disturbance", "logic"),
)
OLD_ON_PURPOSE = {  # files that name the old words, since they read them or tell of the change
    "CHANGELOG.md",
    "compress/benchmark/scenario_schema.py",
    "compress/export/config.py",
    "docs/reference/file-formats.md",
    "tests/benchmark/test_scenario_schema.py",
    "tests/cli/test_local_recipe.py",
    "tests/cli/test_main.py",
    "tests/guards/test_words.py",
    "tests/recipe/test_renamed.py",
}
SUFFIXES = (".py", ".md", ".yaml", ".toml", ".js", ".css", ".html", "Makefile")


def private_words(text: str, words: dict[str, str], *, any_case: bool) -> list[str]:
    """Return the private words in a text, in order."""
    pattern = rf"(?<![\w-])({'|'.join(map(re.escape, words))})(?![\w-])"
    return re.findall(pattern, text, re.IGNORECASE if any_case else 0)


def _texts() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.splitlines() if name.endswith(SUFFIXES) and name not in OLD_ON_PURPOSE]
    return [name for name in names if (ROOT / name).exists()]


def test_the_guard_sees_what_it_forbids():
    assert private_words("One Picture of two photographs, on the road", PROSE, any_case=True) == [
        "Picture",
        "photographs",
        "road",
    ]
    assert private_words("class Book(Yardstick): ...", NAMES, any_case=False) == ["Book", "Yardstick"]
    assert private_words("an arrival abroad; a bookmark", PROSE | NAMES, any_case=True) == []


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the guard asks git which files there are")
def test_no_private_word_is_left():
    found = {name: private_words((ROOT / name).read_text(encoding="utf-8"), PROSE, any_case=True) for name in _texts()}
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the guard asks git which files there are")
def test_no_private_name_is_left():
    sources = [name for name in _texts() if name.endswith(".py") and not name.startswith("tests/")]
    found = {name: private_words((ROOT / name).read_text(encoding="utf-8"), NAMES, any_case=False) for name in sources}
    assert {name: words for name, words in found.items() if words} == {}


def test_no_module_has_a_private_name():
    assert [path for path in sorted((ROOT / "compress").rglob("*.py")) if path.stem in MODULES] == []
