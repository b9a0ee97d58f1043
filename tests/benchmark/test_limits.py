"""Limits as text."""

from __future__ import annotations

import pytest

from compress.benchmark.limits import parse_limits
from compress.errors import UsageError


def test_percent_and_absolute_limits() -> None:
    latency, top1, size = parse_limits(["latency_p50_ms:+5%", "top1_pct:-0.5", "size_bytes:+0"])
    assert latency.allowed(40.0) == pytest.approx(2.0)
    assert (top1.metric, top1.allowed(90.0)) == ("top1_pct", 0.5)
    assert size.allowed(1000) == 0
    assert latency.text == "+5%"


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("latency_p50:+5%", "unknown metric", "latency_p50_ms"),
        ("nonsense:+5%", "unknown metric", "for example"),
        ("latency_p50_ms", "found ''", "for example"),
        ("latency_p50_ms:5%", "found '5%'", "for example"),
        ("latency_p50_ms:+5 %", "found '+5 %'", "for example"),
        ("latency_p50_ms:+1e3", "allowed is a sign", "for example"),
        ("latency_p50_ms:-5%", "worse when it is higher", "latency_p50_ms:+5%"),
        ("top1_pct:+0.5", "worse when it is lower", "top1_pct:-0.5"),
    ],
)
def test_wrong_limits_name_the_right_word(text: str, words: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_limits([text])
    assert words in error.value.message
    assert hint in error.value.hint


def test_one_limit_for_a_metric() -> None:
    with pytest.raises(UsageError, match="top1_pct has two limits"):
        parse_limits(["top1_pct:-1", "top1_pct:-2"])


def test_a_share_of_a_number_below_zero_is_no_less_than_of_one_above() -> None:
    (drop,) = parse_limits(["top1_drop_pp:+10%"])
    assert drop.allowed(-2.0) == drop.allowed(2.0) == pytest.approx(0.2)
