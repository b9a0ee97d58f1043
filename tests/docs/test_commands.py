"""Every command in README and docs: run in a small folder, or held against the real command line with a reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.command_line import complaint
from tests.docs.conftest import TUTORIAL, run_blocks, runnable
from tests.docs.markdown import PAGES, REPOSITORY_PATH, ROOT, Block, blocks_of, prose_of, spans_of

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
RUN_PAGES = [page for page in PAGES if runnable(page) and page != TUTORIAL]
SETUPS = {"first-model", "runs"}
TARGETS = set(re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_.]*")  # a word such as FILE stands for the reader's own


def _page(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.slow
def test_the_tutorial_runs(first_model: Path):
    assert (first_model / "runs" / "latest" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN_PAGES, ids=_page)
def test_a_page_runs(page: Path, page_folder: Callable[[str], Path]):
    blocks = runnable(page)
    page_folder(next((block.comments["setup"] for block in blocks if "setup" in block.comments), ""))
    run_blocks(blocks)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_a_command_is_one_there_is(block: Block):
    assert block.comments.get("setup", "runs") in SETUPS
    for command in block.commands():
        words = command
        if "compress" in words and words[words.index("compress") - 1] == "-m":
            words = ["imgc", *words[words.index("compress") + 1 :]]
        if words[0] == "imgc":
            assert complaint(words[1:]) == "", block.name
        if words[0] == "make":
            targets = {word for word in words[1:] if "=" not in word}
            assert targets <= TARGETS, block.name
        named = [word for word in words if REPOSITORY_PATH.fullmatch(word)]
        assert [path for path in named if not (ROOT / path).exists()] == [], block.name


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=_page)
def test_a_command_in_a_sentence_is_one_there_is(page: Path):
    faults = []
    for span in spans_of(page):
        words = span.split()[1:]
        if words and not PLACEHOLDER.fullmatch(words[0]):
            faults.append(complaint(words, complete=False))
    assert [fault for fault in faults if fault] == []


@pytest.mark.parametrize("page", PAGES, ids=_page)
def test_a_target_in_a_sentence_is_one_there_is(page: Path):
    assert set(re.findall(r"`make ([a-z0-9-]+)`", prose_of(page))) <= TARGETS


def test_the_checks_see_what_they_are_for():
    assert "has no command 'sharpen'" in complaint(["sharpen"])
    assert "No such option: --nme" in complaint(["run", "x.yaml", "--nme", "y"])
    assert "No such option: --nme" in complaint(["run", "RECIPE", "--nme"], complete=False)
    assert "is an old spelling" in complaint(["bench", "x.onnx"])
    assert "Missing parameter" in complaint(["init"])
    assert complaint(["init"], complete=False) == ""
    assert complaint(["run", "x.yaml", "--set", "a.b=1"]) == ""


@pytest.mark.slow
def test_the_run_folder_is_as_described(first_model: Path):
    page = (ROOT / "docs" / "reference" / "file-formats.md").read_text()
    tree = page.partition("```text\n")[2].partition("```")[0]
    folder, missing = [first_model / "runs"], []
    for line in tree.splitlines()[1:]:
        name = line.split()[0].replace("NAME", "images").rstrip("/")
        depth = (len(line) - len(line.lstrip())) // 2
        folder = [*folder[:depth], folder[depth - 1] / name]
        if not folder[-1].exists():
            missing.append(name)
    assert missing == []
