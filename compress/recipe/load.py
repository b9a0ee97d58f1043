"""`load_recipe`: a YAML file, its `use:` blocks and `--set` arguments -> a typed recipe that knows its lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from compress.core.formats import MODEL_FORMATS, SUFFIX
from compress.core.json_types import Json, JsonObject
from compress.core.regular_file import open_regular
from compress.core.stage import StageConfig
from compress.core.yaml_nodes import Node, Position, merge, node_of, parse
from compress.errors import RecipeError
from compress.recipe.locate import located
from compress.recipe.overrides import apply_overrides
from compress.recipe.renamed import with_new_keys
from compress.recipe.schema import Recipe

MAX_BYTES = 256 * 1024
MAX_USE_DEPTH = 8
_FIRST_RECIPE = "`imgc init IMAGES` writes a recipe for your data"
_NAMES = ("id", "kind", "name")  # keys whose value is never a path
_MODEL_SUFFIXES = tuple(SUFFIX[fmt] for fmt in MODEL_FORMATS)


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe and where it came from.

    Attributes:
        recipe: the typed recipe; every path in it is absolute.
        text: the file as given.
        resolved: the recipe as plain data with `use:` and `--set` applied and absolute paths.
        path: the file it was read from, or the folder that relative paths refer to when there is no file.
        root: the same tree with the place of every value, for messages.
        warnings: what is still read, but should be written in another way.
    """

    recipe: Recipe
    text: str
    resolved: JsonObject
    path: Path
    root: Node
    warnings: tuple[str, ...] = ()

    def position(self, *loc: int | str) -> Position:
        """Return where the value at `loc` was written, such as ("stages", 1, "from")."""
        return self.root.find(loc).at


def load_recipe(path: Path, overrides: Sequence[str] = (), *, schema: type[Recipe] = Recipe) -> LoadedRecipe:
    """Read a recipe file.

    Args:
        path: the YAML file; relative paths inside it are relative to its folder.
        overrides: `--set` arguments `a.b=c`; a stage is named by its id or its number from 0.
        schema: the recipe type to check against.

    Raises:
        RecipeError: unreadable, or not a recipe; the message begins with file:line:column.
    """
    text = read_text(path)
    root = _mapping(parse(text, str(path), empty_hint=_FIRST_RECIPE), "a recipe")
    return _typed(_with_uses(root, path.parent), text, path, path.parent, overrides, schema)


def recipe_from_dict(
    tree: Mapping[str, Json],
    folder: Path,
    *,
    text: str = "",
    source: str = "recipe",
    overrides: Sequence[str] = (),
    schema: type[Recipe] = Recipe,
) -> LoadedRecipe:
    """Check a recipe made in memory; relative paths are relative to `folder`, messages name `source`.

    Raises:
        RecipeError: it is not a recipe.
    """
    root = node_of(dict(tree), Position(source))
    return _typed(_with_uses(root, folder), text, folder, folder, overrides, schema)


def read_text(path: Path) -> str:
    """Return a recipe's text.

    Raises:
        RecipeError: missing, a folder, unreadable, too large or not UTF-8.
    """
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file", hint=_FIRST_RECIPE) from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise RecipeError(f"{path}: larger than {MAX_BYTES} bytes, which no recipe is")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RecipeError(f"{path}:{line}:1: not UTF-8 text ({error.reason})") from None


def is_model_file(reference: str) -> bool:
    """Return whether a stage's reference is the name of a model file rather than a stage id."""
    return Path(reference).suffix.lower() in _MODEL_SUFFIXES


def _typed(
    root: Node, text: str, path: Path, folder: Path, overrides: Sequence[str], schema: type[Recipe]
) -> LoadedRecipe:
    root, warnings = with_new_keys(apply_overrides(root, overrides))
    recipe = _validate(root, schema)
    root = _with_absolute_paths(root, recipe, folder.absolute())
    resolved = {key: child.plain() for key, child in root.mapping.items()}
    return LoadedRecipe(_validate(root, schema), text, resolved, path, root, warnings)


def _validate(root: Node, schema: type[Recipe]) -> Recipe:
    """Validate in JSON mode and strictly: no number is read from text, no integer from true."""
    try:
        return schema.model_validate_json(json.dumps(root.plain()), strict=True)
    except ValidationError as error:
        raise located(error, root, schema) from None


def _mapping(node: Node, what: str) -> Node:
    if not isinstance(node.value, dict):
        found = "a list" if isinstance(node.value, list) else "text or a number"  # which is perhaps not the user's own
        raise RecipeError(f"{node.at}: {what} is a mapping of keys to values, found {found}")
    return node


_USED_SUFFIXES = (".yaml", ".yml")  # a mistake in another file would show its lines


def _with_uses(root: Node, folder: Path) -> Node:
    """Return the recipe with the `use:` block of `data` and of every stage merged beneath their own keys."""
    value = dict(root.mapping)
    if "data" in value:
        value["data"] = _with_use(value["data"], folder, 0)
    if "stages" in value and value["stages"].items:
        stages = [_with_use(stage, folder, 0) for stage in value["stages"].items]
        value["stages"] = replace(value["stages"], value=stages)
    return replace(root, value=value)


def _with_use(node: Node, folder: Path, depth: int) -> Node:
    use = node.mapping.get("use")
    if use is None:
        return node
    if depth >= MAX_USE_DEPTH:
        raise RecipeError(f"{use.at}: use: goes deeper than {MAX_USE_DEPTH} files; does a block use itself?")
    if not isinstance(use.value, str):
        raise RecipeError(f"{use.at}: use: wants the name of a YAML file, found '{use.raw or 'a list or mapping'}'")
    path = _used_file(use, folder)
    block = _with_use(_mapping(parse(read_text(path), str(path)), "a block for use:"), path.parent, depth + 1)
    own = replace(node, value={key: child for key, child in node.mapping.items() if key != "use"})
    kinds = [part.mapping["kind"] for part in (block, own) if "kind" in part.mapping]
    if len({kind.raw for kind in kinds}) > 1:
        raise RecipeError(f"{use.at}: {path} is for kind {kinds[0].raw}, but this is kind {kinds[1].raw}")
    return merge(block, own)


def _used_file(use: Node, folder: Path) -> Path:
    """Return the block's file: beside the recipe, else in a folder above it."""
    name = Path(str(use.value)).expanduser()
    if name.suffix not in _USED_SUFFIXES:
        raise RecipeError(f"{use.at}: use: wants a file that ends in {' or '.join(_USED_SUFFIXES)}, found '{name}'")
    folder = folder.absolute()
    for base in (folder, *folder.parents):
        if (base / name).is_file():
            return base / name
    raise RecipeError(f"{use.at}: use: {name} is neither in {folder} nor in a folder above it")


def _with_absolute_paths(root: Node, recipe: Recipe, folder: Path) -> Node:
    """Return the tree with every path made absolute, so that a run can be continued from anywhere."""
    value = dict(root.mapping)
    if recipe.data is not None:
        paths = {Path(path) for key in ("path", "root") if (path := getattr(recipe.data, key, None)) is not None}
        value["data"] = _absolute(value["data"], paths, folder)
    nodes = [
        _stage_absolute(node, config, folder)
        for node, config in zip(root.mapping["stages"].items, recipe.stages, strict=True)
    ]
    value["stages"] = replace(value["stages"], value=nodes)
    return replace(root, value=value)


def _stage_absolute(node: Node, config: StageConfig, folder: Path) -> Node:
    """Return a stage with model files, files and folders made absolute.

    A folder is found by its option, since its name may also be another option's value: `weights: imagenet` beside
    `calibration: imagenet`.
    """
    references = (name for name in config.references().values() if name and is_model_file(name))
    node = _absolute(node, {*config.files().values(), *(Path(name) for name in references)}, folder)
    for option in config.folders():
        if (child := node.mapping.get(option)) is not None and isinstance(child.value, str):
            path = str(folder / Path(child.value).expanduser())
            node = replace(node, value={**node.mapping, option: replace(child, value=path)})
    return node


def _absolute(node: Node, paths: set[Path], folder: Path) -> Node:
    """Return the node with each scalar that is one of `paths` made absolute; a name may read like one."""
    if isinstance(node.value, dict):
        children = node.value.items()
        value = {key: child if key in _NAMES else _absolute(child, paths, folder) for key, child in children}
        return replace(node, value=value)
    if isinstance(node.value, list):
        return replace(node, value=[_absolute(child, paths, folder) for child in node.value])
    if isinstance(node.value, str) and node.value and Path(node.value) in paths:
        return replace(node, value=str(folder / Path(node.value).expanduser()))
    return node
