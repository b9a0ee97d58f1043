"""One class, one name: a reader who meets a name in two rooms must not have to ask which one is meant."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
# A node of a YAML file and a node of a network: both are what their own field calls them.
TWO_FIELDS = {"Node"}


def clashes(sources: dict[str, str]) -> dict[str, list[str]]:
    """Return public class -> the files that define it, where there is more than one."""
    places = defaultdict(list)
    for name, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name)
    return {name: files for name, files in places.items() if len(files) > 1}


def test_the_check_sees_a_clash_and_lets_private_names_be():
    sources = {"a.py": "class Point: ...\nclass _Row: ...\n", "b.py": "class Point: ...\nclass _Row: ...\n"}
    assert clashes(sources) == {"Point": ["a.py", "b.py"]}


def test_no_two_public_classes_have_one_name():
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "compress").rglob("*.py"))}
    found = clashes(sources)
    assert set(found) <= TWO_FIELDS, found
