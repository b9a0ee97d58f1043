"""What docs say of the pruned networks."""

from __future__ import annotations

from evals.results.behind import Better, Row, behind, siblings
from evals.results.schema import Block

CHOSEN = (
    "The defaults of the distillation (alpha 0.5, temperature 1) were chosen by runs of these recipes that were judged "
    "on the validation and test images together (`c26deca`): the test images were seen when they were chosen, and "
    "accuracies below may flatter them. Since then `make results-shrink` shows validation for choosing, and test once."
)
TORCH_PRUNING = "torch-pruning, uniform, at "
TUNED = ", fine-tuned"
DISTILLED = "-distilled"
_BETTER: dict[str, Better] = {
    "top1_pct": "higher",
    "val_top1_pct": "higher",
    "test_top1_pct": "higher",
    "of_fp32": "lower",
}


def pruning_sentences(block: Block) -> list[str]:
    """Return where a sibling or torch-pruning is more accurate or faster than ours at the same MACs."""
    return behind(block, [*siblings(block.rows, "model"), *_torch_pruning(block)], _BETTER, ["model"])


def _torch_pruning(block: Block) -> list[tuple[Row, Row]]:
    """Return ours as it was pruned beside torch-pruning's, and ours distilled beside torch-pruning's fine-tuned."""
    named = {str(row["model"]): row for row in block.rows}
    found: list[tuple[Row, Row]] = []
    for name, other in named.items():
        if name.startswith(TORCH_PRUNING):
            stage, tuned, _ = name.removeprefix(TORCH_PRUNING).partition(TUNED)
            own = named.get(stage + DISTILLED if tuned else stage)
            found += [(own, other)] if own is not None else []
    return found
