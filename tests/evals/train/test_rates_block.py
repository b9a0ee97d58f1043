from __future__ import annotations

import json
from datetime import date

from evals.results.schema import Measured
from evals.sentences.training import training_sentences
from evals.train.rates_block import rates_block

MEASURED = Measured(date=date(2026, 1, 1), commit="abc", host={})


def line(lr, seed, top1, epochs=5):
    told = {"images": "clothing", "n_train": 200, "arch": "a", "epochs": epochs, "seed": seed, "lr": lr}
    return f"{json.dumps(told)}\t{top1:.2f}"


def test_rates_are_means_over_seeds_and_the_verdict_counts_where_the_rule_is_worse():
    lines = [line(None, 0, 60), line(None, 1, 62), line(2e-3, 0, 50), line(2e-3, 0, 50), line(None, 0, 70, 30)]
    block = rates_block([*lines, line(2e-3, 0, 71, 30)], MEASURED)
    assert [(row["epochs"], row["lr None"], row["lr 0.002"], row["lr 0.0002"]) for row in block.rows] == [
        (5, "61.0 (2)", "50.0 (1)", "-"),
        (30, "70.0 (1)", "71.0 (1)", "-"),
    ]
    assert block.n == {"trainings": 5}
    (sentence,) = training_sentences(block)
    assert "4.5 points better than 2e-3" in sentence, "10 with seed 0, and -1"
    assert "worse in 1 of them" in sentence
