"""ARCHITECTURE names every room, and the layers that the linter holds."""

from __future__ import annotations

import re
import tomllib

from tests.docs.markdown import ROOT

TEXT = (ROOT / "docs" / "ARCHITECTURE.md").read_text()


def _table_rooms() -> set[str]:
    table = TEXT.partition("## Rooms\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return {room for cell in cells for room in re.findall(r"`(\w+)`", cell)}


def test_every_room_has_its_line():
    rooms = {path.parent.name for path in (ROOT / "compress").glob("*/__init__.py")}
    modules = {"api", "classifier", "results", "errors", "package"}
    assert _table_rooms() == rooms | modules


def test_the_layers_are_those_of_the_linter():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    held = [set(re.findall(r"compress\.(\w+)", layer)) for layer in layers]
    block = TEXT.partition("## Who may import whom\n")[2].partition("```text\n")[2].partition("```")[0]
    written = [set(re.findall(r"\w+", layer)) for layer in block.split("->")]
    assert [layer for layer in written if layer] == held
