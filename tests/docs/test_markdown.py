from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import markdown
from tests.docs.markdown import blocks_of, links_of, paths_of, spans_of, split_line

PAGE = """\
# Title

<!-- example: sparsify -->

<!-- setup: runs -->

```sh
imgc train \\
  --epochs 2 && imgc prune --keep 0.7  # a remark
```

<!-- not run: it answers until it is stopped; tests/serve runs it -->
```sh
KEY=x imgc serve > log.txt
```

```python
imgc_is_not_a_command()
```

Use `imgc run
FILE`, `imgcs`, `compress/lower/ops.py`, `compress/ROOM/stage.py`, `compress/sparsify/`,
[a page](docs/other.md#part), [the web](https://example.org), and ![a chart](chart.svg).
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(markdown, "ROOT", tmp_path)
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_blocks_have_their_comments_and_commands(page: Path):
    first, second = blocks_of(page)
    assert first.comments == {"setup": "runs"}
    assert first.commands() == [["imgc", "train", "--epochs", "2"], ["imgc", "prune", "--keep", "0.7"]]
    assert first.name == "page.md:7"
    assert second.comments == {"not run": "it answers until it is stopped; tests/serve runs it"}
    assert second.commands() == [["imgc", "serve"]]


def test_spans_and_links_are_found(page: Path):
    assert spans_of(page) == ["imgc run FILE"]
    assert paths_of(page) == ["compress/lower/ops.py", "tests/serve"]
    assert links_of(page) == ["docs/other.md#part", "chart.svg"]


def test_quotes_hold_a_word_together():
    assert split_line("""imgc x --preprocess '{"a": 1}' | tee -a log""")[0] == ["imgc", "x", "--preprocess", '{"a": 1}']
