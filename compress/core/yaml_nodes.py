"""YAML text -> `Node` tree that remembers where every value stands. Stricter than YAML 1.1, which misreads silently."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace

import yaml

from compress.core.json_types import Json
from compress.errors import RecipeError

MAX_DEPTH = 32
MAX_ALIASES = 64
MAX_NODES = 20_000  # after aliases are expanded, so that a few aliases of aliases cannot fill the memory
_MAX_NUMBER_CHARS = 64
_TAG = "tag:yaml.org,2002:"
_LOOKS_LIKE_NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?")
_SCIENTIFIC = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")  # YAML 1.2 reads it as a number, 1.1 not always
_TRUE = ("yes", "true", "on")

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Position:
    """Where something was written: a file with line and column (from 1), or a `--set` argument (line 0)."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Return `file:line:column`, or the source alone where there is no line."""
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Node:
    """A value with its place.

    Attributes:
        value: a scalar, a mapping of nodes or a list of nodes.
        at: where the value begins.
        key_at: where its key begins, when it is a mapping's value.
        raw: a scalar as it was written, which may differ from the value (`3.10` is 3.1, `yes` is true).
    """

    value: Scalar | dict[str, Node] | list[Node]
    at: Position
    key_at: Position | None = None
    raw: str = ""

    @property
    def mapping(self) -> dict[str, Node]:
        """Return the mapping, empty when the value is something else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """Return the list, empty when the value is something else."""
        return self.value if isinstance(self.value, list) else []

    def plain(self) -> Json:
        """Return the value without places: dict, list or scalar."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def find(self, loc: Iterable[str | int]) -> Node:
        """Return the deepest node along `loc`; parts that name nothing (such as a union's tag) are passed over."""
        node = self
        for part in loc:
            if isinstance(part, str) and part in node.mapping:
                node = node.mapping[part]
            elif isinstance(part, int) and 0 <= part < len(node.items):
                node = node.items[part]
        return node


def node_of(value: Json, at: Position) -> Node:
    """Return a plain value as a tree whose every node stands at one place."""
    if isinstance(value, str | int | float | None):
        return Node(value, at, raw=str(value))
    if isinstance(value, Mapping):
        return Node({key: replace(node_of(child, at), key_at=at) for key, child in value.items()}, at)
    return Node([node_of(child, at) for child in value], at)


def merge(below: Node, above: Node) -> Node:
    """Return `below` with `above` laid over it: mappings merge key by key, anything else is replaced."""
    if not (isinstance(below.value, dict) and isinstance(above.value, dict)):
        return above
    merged = dict(below.value)
    for key, child in above.value.items():
        merged[key] = merge(merged[key], child) if key in merged else child
    return replace(above, value=merged)


def parse(
    text: str, source: str, *, at: Position | None = None, secrets: Container[str] = (), empty_hint: str = ""
) -> Node:
    """Read one YAML document.

    Args:
        text: the document.
        source: the name used in messages.
        at: when given, every node stands here (for a value on the command line).
        secrets: keys whose value no message shows.
        empty_hint: what to try where there is nothing in it.

    Raises:
        RecipeError: broken YAML, or YAML that means something else than it seems to; begins with file:line:column.
    """
    builder = _Builder(source, at, secrets)
    try:
        root = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise builder.error(error.problem_mark or error.context_mark, _problem(error), hint=_yaml_hint(error)) from None
    except yaml.reader.ReaderError as error:
        raise RecipeError(f"{source}: {error.reason} (character {error.position})") from None
    if root is None:
        raise RecipeError(f"{at or Position(source, 1, 1)}: there is nothing in it", hint=empty_hint)
    return builder.build(root, 0)


def reads_as_something_else(text: str) -> bool:
    """Return whether a text, written without quotes, would be refused here or read as a number, bool, null or date."""
    tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return tag != f"{_TAG}str" or _LOOKS_LIKE_NUMBER.fullmatch(text) is not None


class _Loader(yaml.SafeLoader):
    """A safe composer that stops at too deep a nesting or too many aliases."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self._aliases += self.check_event(yaml.AliasEvent)
        if self._aliases > MAX_ALIASES:
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_ALIASES} aliases", problem_mark=mark)
        if self._depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Builder:
    """Turns composed YAML nodes into `Node`s and refuses what YAML would silently misread."""

    def __init__(self, source: str, at: Position | None, secrets: Container[str]) -> None:
        self._source = source
        self._at = at
        self._secrets = secrets
        self._count = 0

    def position(self, mark: yaml.Mark | None) -> Position:
        if self._at or mark is None:
            return self._at or Position(self._source)
        return Position(self._source, mark.line + 1, mark.column + 1)

    def error(self, mark: yaml.Mark | None, message: str, *, hint: str = "") -> RecipeError:
        return RecipeError(f"{self.position(mark)}: {message}", hint=hint)

    def build(self, node: yaml.Node, depth: int) -> Node:
        self._count += 1
        if depth > MAX_DEPTH or self._count > MAX_NODES:
            raise self.error(node.start_mark, f"more than {MAX_DEPTH} levels or {MAX_NODES} values with aliases")
        at = self.position(node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return Node(self._mapping(node, depth), at)
        if isinstance(node, yaml.SequenceNode):
            return Node([self.build(child, depth + 1) for child in node.value], at)
        assert isinstance(node, yaml.ScalarNode)  # there is no fourth kind
        return Node(self._scalar(node), at, raw=node.value)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            key_at = self.position(key_node.start_mark)
            if key in found:
                raise self.error(
                    key_node.start_mark,
                    f"duplicate key '{key}' (first at {found[key].key_at})",
                    hint="remove one of the two; YAML would silently keep the last",
                )
            found[key] = replace(self._value(key, value_node, depth + 1), key_at=key_at)
        return found

    def _value(self, key: str, node: yaml.Node, depth: int) -> Node:
        try:
            return self.build(node, depth)
        except RecipeError:
            if key not in self._secrets:
                raise
        raise self.error(node.start_mark, f"{key}: YAML does not read this as text", hint="put it in quotes")

    def _key(self, node: yaml.Node) -> str:
        if node.tag == f"{_TAG}merge":
            raise self.error(
                node.start_mark, "merge keys (<<) are not read", hint="write `use: FILE` to share a block of options"
            )
        if isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}str":
            return str(node.value)
        raise self.error(node.start_mark, f"a key must be text, found {_shown(node)}", hint="put it in quotes")

    def _scalar(self, node: yaml.ScalarNode) -> Scalar:
        raw, tag = str(node.value), node.tag.removeprefix(_TAG)
        if tag == "null":
            return None
        if tag == "bool":
            return raw.lower() in _TRUE
        if tag == "str" and node.style is None and _SCIENTIFIC.fullmatch(raw):
            return self._number(node, raw, "float")
        if tag in ("str", "timestamp"):
            self._refuse_number_as_text(node)
            return raw
        if tag in ("int", "float"):
            return self._number(node, raw, tag)
        raise self.error(node.start_mark, f"the YAML tag '{node.tag}' is not read here, found {_shown(node)}")

    def _refuse_number_as_text(self, node: yaml.ScalarNode) -> None:
        if node.style is None and _LOOKS_LIKE_NUMBER.fullmatch(node.value) and len(node.value) <= _MAX_NUMBER_CHARS:
            raise self.error(
                node.start_mark,
                f"'{node.value}' looks like a number, but YAML 1.1 reads it as text",
                hint="write it without leading zeros and underscores, or put it in quotes if text is meant",
            )

    def _number(self, node: yaml.ScalarNode, raw: str, tag: str) -> int | float:
        digits = raw.replace("_", "").lower().lstrip("+-")
        if ":" in raw or len(raw) > _MAX_NUMBER_CHARS or not any(char.isdigit() for char in raw):
            raise self.error(
                node.start_mark, f"'{raw}' is not a plain number", hint="put it in quotes if text is meant"
            )
        if tag == "int" and len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
            raise self.error(
                node.start_mark,
                f"'{raw}' would be read as octal {int(digits, 8)}",
                hint="drop the leading zero, or put it in quotes if text is meant",
            )
        try:
            return int(raw.replace("_", ""), 0) if tag == "int" else _finite(float(raw.replace("_", "")))
        except ValueError:
            raise self.error(node.start_mark, f"'{raw}' is not a plain number") from None


def _finite(value: float) -> float:
    if value in (float("inf"), float("-inf")):
        raise ValueError("too large")
    return value


def _shown(node: yaml.Node) -> str:
    return f"'{node.value}'" if isinstance(node, yaml.ScalarNode) else "a list or mapping"


def _problem(error: yaml.MarkedYAMLError) -> str:
    return " ".join(str(part) for part in (error.context, error.problem) if part)


def _yaml_hint(error: yaml.MarkedYAMLError) -> str:
    if "\\t" in str(error.problem):
        return "indent with spaces; YAML allows no tab here"
    return ""
