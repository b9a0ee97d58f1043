import pytest

from compress.quantize.accuracy.accuracy_constraint import AccuracyConstraint, drop_pp

WORTH = {"float_top1_pct": 90.0, "top1_pct": 88.5, "agreement_pct": 95.0}


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        (AccuracyConstraint(1.5, 95.0), ""),
        (AccuracyConstraint(None, None), ""),
        (AccuracyConstraint(1.0, None), "top-1 drops by 1.50 pp, allowed 1"),
        (AccuracyConstraint(None, 95.5), "agreement is 95.00 %, at least 95.5 is wanted"),
        (
            AccuracyConstraint(1.0, 99.0),
            "top-1 drops by 1.50 pp, allowed 1; agreement is 95.00 %, at least 99 is wanted",
        ),
    ],
)
def test_what_breaks_it(bound, words):
    assert bound.broken_by(WORTH) == words


def test_a_bound_in_words():
    assert str(AccuracyConstraint(1.0, 95.0)) == "drop <= 1 pp and agreement >= 95 %"
    assert bool(AccuracyConstraint(0.0, None))
    assert not AccuracyConstraint(None, None)
    assert drop_pp(WORTH) == 1.5
    assert drop_pp({"agreement_pct": 1.0}) is None
