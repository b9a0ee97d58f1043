"""What docs say of the search beside the grid."""

from __future__ import annotations

from evals.results.behind import Row, behind
from evals.results.schema import Block

CHOSEN = (
    "What the search expects of a chain (`gains_pp` in `compress/tune/task.py`) was set by seven chains that were "
    "judged on these test images: they were seen when it was chosen, and the search's row below may flatter it. Since "
    "then the grid is compared on validation, and test is asked once, of the two models that validation chose."
)
SEARCH = "imgc tune"


def tune_sentences(block: Block) -> list[str]:
    """Return what search and grid took, the difference on the test images, and which settings of the grid are ahead."""
    search = next(row for row in block.rows if str(row["model"]).startswith(SEARCH))
    chosen = next(row for row in block.rows if row["model"] == block.facts["grid_choice"])
    text = (
        f"The search spent {block.number('search_s'):.0f} s ({block.number('tried'):.0f} settings to the end, "
        f"{block.number('given_up'):.0f} given up), the stages of the grid took {block.number('grid_s'):.0f} s."
    )
    if isinstance(search["test_pct"], float) and isinstance(chosen["test_pct"], float):
        text += (
            f" On the test images the search's model is {search['test_pct'] - chosen['test_pct']:+.2f} pp from the "
            f"one that validation chooses of the grid ({chosen['model']})."
        )
    pairs: list[tuple[Row, Row]] = [(search, row) for row in block.rows if row["fits"] == "yes" and row is not search]
    return [text, *behind(block, pairs, {"val_pct": "higher"}, ["model"])]
