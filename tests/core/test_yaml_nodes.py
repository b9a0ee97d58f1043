from __future__ import annotations

import pytest

from compress.core.yaml_nodes import MAX_ALIASES, MAX_DEPTH, Position, merge, node_of, parse, reads_as_something_else
from compress.errors import RecipeError
from compress.recipe.dump import dump_yaml


def test_values_and_places():
    root = parse("a: 1\nb:\n  - x: 2.5\n    y: 'no'\n", "r.yaml")
    assert root.plain() == {"a": 1, "b": [{"x": 2.5, "y": "no"}]}
    assert str(root.find(("b", 0, "y")).at) == "r.yaml:4:8"
    assert str(root.find(("b", 0, "y")).key_at) == "r.yaml:4:5"
    for beside in (-1, 1, "x"):  # names nothing: the list itself is meant
        assert root.find(("b", beside)) is root.find(("b",))


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("a: 1\na: 2\n", "r.yaml:2:1", "duplicate key 'a'"),
        ("b:\n  lr: 08\n", "r.yaml:2:7", "'08' looks like a number"),
        ("a: 017\n", "r.yaml:1:4", "octal 15"),
        ("a: 1:30\n", "r.yaml:1:4", "not a plain number"),
        ("a: .inf\n", "r.yaml:1:4", "not a plain number"),
        ("a: 1.0e+999\n", "r.yaml:1:4", "not a plain number"),
        ("on: 1\n", "r.yaml:1:1", "a key must be text, found 'on'"),
        ("<<: {a: 1}\n", "r.yaml:1:1", "merge keys"),
        ("a: !!python/object:os.system x\n", "r.yaml:1:4", "YAML tag"),
        ("a: !!binary aGk=\n", "r.yaml:1:4", "YAML tag"),
        ("a: [1\n", "r.yaml:2:1", "flow sequence"),
        ("\ta: 1\n", "r.yaml:1:1", "cannot start any token"),
        ("a: 1\n---\nb: 2\n", "r.yaml:2:1", "single document"),
        ("", "r.yaml:1:1", "there is nothing in it"),
        ("# only a comment\n", "r.yaml:1:1", "there is nothing in it"),
        ("a: \x00", "r.yaml", "special characters"),
    ],
)
def test_refused_with_its_place(text, where, words):
    with pytest.raises(RecipeError) as error:
        parse(text, "r.yaml")
    assert error.value.message.startswith(f"{where}:")
    assert words in error.value.message


@pytest.mark.parametrize("text", ["5e-4", "2E5", "1.5e3", "1.e4", ".5e-1", "-3e+2", "1.0e-3"])
def test_scientific_notation_is_a_number_and_in_quotes_text(text):
    assert parse(f"a: {text}", "r.yaml").plain() == {"a": float(text)}
    assert parse(f"a: '{text}'", "r.yaml").plain() == {"a": text}


def test_depth_and_aliases_are_bounded():
    with pytest.raises(RecipeError, match="nested deeper"):
        parse("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "r.yaml")
    with pytest.raises(RecipeError, match="nested deeper"):
        parse("[" * 100_000, "r.yaml")
    with pytest.raises(RecipeError, match="aliases"):
        parse("a: &a 1\nb: [" + ", ".join(["*a"] * (MAX_ALIASES + 1)) + "]", "r.yaml")
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 8))
    with pytest.raises(RecipeError, match="values with aliases"):
        parse(bomb, "r.yaml")
    with pytest.raises(RecipeError, match="levels"):
        parse("&a [*a]", "r.yaml")


def test_merge_goes_key_by_key_and_keeps_places():
    below = parse("a: {x: 1, y: 2}\nl: [1, 2]\n", "below")
    merged = merge(below, parse("a: {y: 3}\nl: [9]\n", "above"))
    assert merged.plain() == {"a": {"x": 1, "y": 3}, "l": [9]}
    assert merged.find(("a", "x")).at.source == "below"
    assert merged.find(("a", "y")).at.source == "above"


def test_dumped_text_reads_back_unchanged():
    tree = {
        "texts": ["1e-3", "3.10", "yes", "null", "2024-01-01", "017", "1:30", "", "a: b", "plain", "é", "<<"],
        "numbers": [1, 1e-05, 2.5, -3],
        "others": [None, True, {"a": []}],
    }
    assert parse(dump_yaml(tree), "r.yaml").plain() == tree
    assert reads_as_something_else("1e-3")
    assert not reads_as_something_else("abc")


def test_a_plain_value_stands_at_one_place():
    node = node_of({"a": [1, {"b": None}]}, Position("--set x"))
    assert node.plain() == {"a": [1, {"b": None}]}
    assert str(node.find(("a", 1, "b")).at) == "--set x"
