"""Every page links to files that are there, and every page is reached from README."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.markdown import PAGES, ROOT, links_of, paths_of


# linked already, and written elsewhere: remove a line as soon as its file is there
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_to_a_file(page: Path):
    missing = [link for link in links_of(page) if not _target(page, link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_path_that_is_named_is_there(page: Path):
    if page.name != "CHANGELOG.md":  # which names what is gone
        assert [path for path in paths_of(page) if not (ROOT / path).exists()] == []


def test_every_page_is_reached_from_readme():
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        waiting += [_target(page, link) for link in links_of(page)]
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} <= seen


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def _target(page: Path, link: str) -> Path:
    path = link.partition("#")[0]
    return (page.parent / path).resolve() if path else page
