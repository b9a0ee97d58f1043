from __future__ import annotations

import pytest

from evals.sentences.measuring import BUSY, QUIET, REPEAT, measuring_sentences, verdict
from tests.evals.blocks import block


def repeated(quiet: int, busy: int, spread: float | None):
    rows = [
        {"condition": QUIET, "benchmarks": 5, "said": quiet},
        {"condition": BUSY, "benchmarks": 5, "said": busy},
    ]
    return block(rows, key=REPEAT, texts=("condition",), silent_spread_pct=spread)


@pytest.mark.parametrize(
    ("quiet", "busy", "spread", "said", "unsaid"),
    [
        (5, 5, None, "and 5 of 5 quiet ones too: on this machine the warning did not tell", "spread by"),
        (2, 5, 1.5, "and 2 of 5 quiet ones too, which were false alarms", "did not tell"),
        (0, 5, 2.04, "and none of 5 quiet ones. The medians of those without a warning spread by 2.0 %.", "too"),
        (0, 3, 9.0, "3 of 5 benchmarks beside a busy program were called", "false alarm"),
    ],
)
def test_the_verdict_counts_quiet_benchmarks_that_were_called_unstable(quiet, busy, spread, said, unsaid):
    text = verdict(repeated(quiet, busy, spread))
    assert said in text
    assert unsaid not in text


def test_other_tables_have_no_verdict():
    assert measuring_sentences(repeated(5, 5, None)) != []
    assert measuring_sentences(block([{"call": "a"}], key="call", texts=("call",))) == []
