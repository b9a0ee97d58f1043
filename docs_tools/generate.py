"""Writes the generated pages: `python -m docs_tools.generate docs/reference`."""

from __future__ import annotations

import sys
from pathlib import Path

from compress.core.storage import write_json, write_text
from compress.recipe.json_schema import recipe_schema
from docs_tools.command_page import command_page, exit_code_page
from docs_tools.format_page import format_page
from docs_tools.recipe_page import recipe_page

NOTE = "<!-- Written by `make docs`; edit the docstrings, not this page. -->\n"
PAGES = {
    "recipe.md": recipe_page,
    "commands.md": command_page,
    "exit-codes.md": exit_code_page,
    "file-fields.md": format_page,
}
SCHEMA = "recipe.schema.json"


def generate(folder: Path) -> None:
    """Write every generated page and the recipe's JSON Schema into the folder."""
    for name, page in PAGES.items():
        write_text(folder / name, NOTE + page())
    write_json(folder / SCHEMA, recipe_schema())


if __name__ == "__main__":
    generate(Path(sys.argv[1]))
