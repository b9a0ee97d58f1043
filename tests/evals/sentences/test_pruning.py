from __future__ import annotations

from evals.sentences.pruning import DISTILLED, TORCH_PRUNING, TUNED, pruning_sentences
from tests.evals.blocks import block

TUNED_NAME = f"{TORCH_PRUNING}macs60{TUNED}, 12 epochs of cross entropy"
ROWS = [
    {"model": "train", "val_top1_pct": 90.0, "of_fp32": (1.0, 0.9, 1.1)},
    {"model": "macs60", "val_top1_pct": 60.0, "of_fp32": (0.8, 0.7, 0.9)},
    {"model": "macs60-sibling", "val_top1_pct": 80.0, "of_fp32": (0.9, 0.8, 1.0)},
    {"model": f"macs60{DISTILLED}", "val_top1_pct": 88.0, "of_fp32": (0.8, 0.7, 0.9)},
    {"model": f"{TORCH_PRUNING}macs60", "val_top1_pct": 50.0, "of_fp32": (0.7, 0.6, 0.9)},
    {"model": TUNED_NAME, "val_top1_pct": 89.0, "of_fp32": (0.9, 0.8, 1.0)},
]


def test_ours_stands_beside_its_sibling_and_beside_torch_pruning_trained_as_long():
    (text,) = pruning_sentences(block(ROWS))
    assert text == (
        'Where ours is behind. In "val_top1_pct": macs60 60.00 against macs60-sibling 80.00; '
        f'macs60-distilled 88.00 against {TUNED_NAME} 89.00. In "of_fp32": macs60 0.80 (0.70-0.90) against '
        f"{TORCH_PRUNING}macs60 0.70 (0.60-0.90)."
    )


def test_where_nobody_is_ahead_nothing_is_said():
    assert pruning_sentences(block([ROWS[0], ROWS[3], ROWS[5] | {"val_top1_pct": 1.0}])) == []
    assert pruning_sentences(block([ROWS[0], ROWS[5]])) == [], "torch-pruning beside a stage that is not there"
