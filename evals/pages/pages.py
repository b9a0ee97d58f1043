"""The pages of `docs/results/`: which there are, and what each says of its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from compress.core.storage import write_text
from compress.errors import UsageError
from evals.results.behind import behind, siblings
from evals.results.markdown import Sentences, replace_block, results_markdown
from evals.results.schema import Block, ResultFile, read_results, write_results
from evals.sentences.clients import clients_sentences
from evals.sentences.coverage import coverage_sentences
from evals.sentences.detection import detection_sentences
from evals.sentences.int8 import int8_sentences
from evals.sentences.measuring import measuring_sentences
from evals.sentences.pruning import CHOSEN as DISTILLATION_CHOSEN
from evals.sentences.pruning import pruning_sentences
from evals.sentences.serving import serving_sentences
from evals.sentences.training import training_sentences
from evals.sentences.tune import CHOSEN as GAINS_CHOSEN
from evals.sentences.tune import tune_sentences

DOCS = Path("docs/results")


def runs_sentences(block: Block) -> list[str]:
    """Return where the stock network that is as narrow beats the pruned one."""
    return behind(block, siblings(block.rows, "stage"), {"top1_pct": "higher"}, ["stage"])


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        name: of the page and of its JSON.
        marker: of the comments between which the generated text stands.
        command: measures it again.
        sentences: follow from a block's numbers.
        note: what holds for all of its numbers.
    """

    name: str
    marker: str
    command: str
    sentences: Sentences
    note: str = ""


PAGES = {
    page.name: page
    for page in (
        Page("runs", "results", "make results-runs", runs_sentences),
        Page("int8", "int8", "make results-int8", int8_sentences),
        Page("pruning", "shrink", "make results-shrink", pruning_sentences, DISTILLATION_CHOSEN),
        Page("tune", "tune", "make results-tune", tune_sentences, GAINS_CHOSEN),
        Page("measuring", "bench", "make results-benchmark", measuring_sentences),
        Page("training", "training", "make results-train", training_sentences),
        Page("serving", "serve", "make results-serve", serving_sentences),
        Page("clients", "clients", "make results-clients", clients_sentences),
        Page("coverage", "coverage", "make results-coverage", coverage_sentences),
        Page("detection", "detection", "make results-detection", detection_sentences),
    )
}


def data_path(name: str, docs: Path = DOCS) -> Path:
    """Return where a page's JSON lies."""
    return docs / "data" / f"{name}.json"


def rendered(name: str, docs: Path = DOCS) -> str:
    """Return the whole text of a page as its JSON has it.

    Raises:
        UsageError: the JSON or the page is not there, or the page lacks its markers.
    """
    page = PAGES[name]
    path = docs / f"{name}.md"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    generated = results_markdown(read_results(data_path(name, docs)), page.sentences, page.note)
    return replace_block(text, generated, page.marker)


def publish(name: str, blocks: tuple[Block, ...], docs: Path = DOCS) -> None:
    """Keep these blocks in the page's JSON, in place of those of the same keys, and write the page.

    Raises:
        UsageError: see `rendered`.
    """
    path = data_path(name, docs)
    old = read_results(path) if path.exists() else ResultFile(name=name, command=PAGES[name].command, blocks=())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_results(path, old.with_blocks(blocks))
    write_text(docs / f"{name}.md", rendered(name, docs))


def render_all(docs: Path = DOCS) -> list[Path]:
    """Write every page that has JSON; return their paths."""
    written = []
    for name in PAGES:
        if data_path(name, docs).exists():
            written.append(docs / f"{name}.md")
            write_text(written[-1], rendered(name, docs))
    return written
