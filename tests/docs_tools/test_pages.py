"""Nothing is missing on the pages: every stage and its keys, every command and option, every exit code."""

from __future__ import annotations

import re

import pytest
from typer.main import get_command

from compress.cli.main import app
from compress.recipe.schema import stage_kinds
from docs_tools.command_page import command_page, exit_code_page
from docs_tools.format_page import format_page
from docs_tools.recipe_page import recipe_page


@pytest.mark.parametrize("kind", sorted(stage_kinds()))
def test_every_key_of_a_stage_has_a_row(kind: str):
    config = stage_kinds()[kind]
    section = recipe_page().partition(f"### {config.__name__}\n")[2].partition("\n### ")[0]
    assert f"`kind: {kind}`" in section
    names = {field.alias or name for name, field in config.model_fields.items()}
    assert set(re.findall(r"^\| `(\w+)` ", section, re.MULTILINE)) == names


def test_every_command_and_option_is_named():
    page = command_page()
    for name, command in get_command(app).commands.items():
        if command.hidden:
            continue
        section = page.partition(f"## imgc {name}\n")[2].partition("\n## ")[0]
        for parameter in command.get_params(command.make_context(name, [], resilient_parsing=True)):
            if parameter.param_type_name == "option" and parameter.name != "help" and not parameter.hidden:
                assert parameter.opts[0] in section, (name, parameter.opts)


def test_every_exit_code_has_a_row():
    assert re.findall(r"^\| (\d) ", exit_code_page(), re.MULTILINE) == ["0", "2", "3", "4", "5"]


@pytest.mark.parametrize("page", [recipe_page, format_page])
def test_a_link_within_a_page_has_its_section(page):
    text = page()
    sections = {title.lower() for title in re.findall(r"^#+ (\w+)$", text, re.MULTILINE)}
    links = set(re.findall(r"\]\(#([a-z0-9]+)\)", text))
    assert links
    assert links <= sections
