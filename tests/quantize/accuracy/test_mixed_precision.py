import pytest

from compress.core.stage import SilentReporter
from compress.errors import StageError
from compress.quantize.accuracy.accuracy_constraint import AccuracyConstraint
from compress.quantize.accuracy.mixed_precision import counts, float_worst
from compress.quantize.qdq.layers import Layer

LAYERS = [Layer(name, "Conv+Relu", (name, f"{name}_act")) for name in "abcdefghij"]
FULL = {"agreement_pct": 80.0}


@pytest.mark.parametrize(
    ("layers", "tried"), [(0, []), (1, []), (2, [1]), (10, [1, 2, 4, 5]), (54, [1, 2, 4, 8, 16, 27])]
)
def test_counts_grow_and_stop_at_half(layers, tried):
    assert counts(layers) == tried


def test_it_stops_as_soon_as_the_bound_holds():
    asked = []

    def attempt(floats):
        asked.append(floats)
        return {"agreement_pct": 80.0 + 3 * len(floats)}

    chosen, metrics = float_worst(LAYERS, attempt, AccuracyConstraint(None, 91.0), FULL, SilentReporter())
    assert [layer.name for layer in chosen] == ["a", "b"]
    assert metrics["agreement_pct"] == 92.0
    assert asked == [("a", "a_act"), ("a", "a_act", "b", "b_act")]


def test_a_bound_that_cannot_hold_says_what_was_tried():
    with pytest.raises(StageError, match="agreement >= 99 %") as caught:
        float_worst(
            LAYERS, lambda floats: {"agreement_pct": 85.0}, AccuracyConstraint(None, 99.0), FULL, SilentReporter()
        )
    lines = caught.value.message.splitlines()
    assert lines[1].strip() == "all int8: agreement is 80.00 %, at least 99 is wanted"
    assert lines[-1].strip() == "5 of 10 layers float: agreement is 85.00 %, at least 99 is wanted"
    assert len(lines) == 6
