"""The key in each of its places, and the token bucket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.serve.errors import RequestError
from compress.serve.http import limits as module
from compress.serve.http.limits import ApiKey, RateLimit


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-api-key", b"secret")],
        [(b"authorization", b"Bearer secret")],
        [(b"authorization", b"bearer  secret ")],
        [(b"host", b"x"), (b"x-api-key", b"secret")],
        [(b"authorization", b"Basic eDp5"), (b"x-api-key", b"secret")],
    ],
)
def test_the_key_opens(headers):
    ApiKey("secret").check(headers)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-api-key", b"")],
        [(b"x-api-key", b"Secret")],
        [(b"x-api-key", b"secret2")],
        [(b"x-api-key", b"\xff\xfe")],
        [(b"authorization", b"secret")],
        [(b"authorization", b"Basic secret")],
        [(b"cookie", b"secret")],
    ],
)
def test_nothing_else_does(headers):
    with pytest.raises(RequestError) as caught:
        ApiKey("secret").check(headers)
    assert (caught.value.status, caught.value.code) == (401, "unauthorized")
    assert caught.value.headers["WWW-Authenticate"] == "Bearer"
    assert "secret" not in caught.value.message


def test_a_key_beyond_ascii_opens_by_its_utf8():
    ApiKey("schlüssel").check([(b"x-api-key", "schlüssel".encode())])


def refusal(limit: RateLimit, client: str, now_s: float) -> RequestError | None:
    try:
        limit.take(client, now_s)
    except RequestError as fault:
        return fault
    return None


def let_in(limit: RateLimit, client: str, now_s: float) -> bool:
    return refusal(limit, client, now_s) is None


def test_a_burst_of_two_seconds_then_the_rate_for_each_client_by_itself():
    limit = RateLimit(5.0)
    assert [let_in(limit, "a", 0.0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert let_in(limit, "b", 0.0)
    assert not let_in(limit, "a", 0.1)
    assert let_in(limit, "a", 0.2)
    assert not let_in(limit, "a", 0.2)


@given(
    per_s=st.floats(0.01, 50),
    gaps_s=st.lists(st.floats(0, 3), min_size=1, max_size=60),
    begin_s=st.floats(0, 1e6),
)
def test_no_span_of_time_holds_more_than_the_burst_and_the_rate(per_s, gaps_s, begin_s):
    limit, now_s, taken_s = RateLimit(per_s), begin_s, []
    for gap_s in gaps_s:
        now_s += gap_s
        if let_in(limit, "a", now_s):
            taken_s.append(now_s)
    for first in range(len(taken_s)):
        for last in range(first, len(taken_s)):
            span_s = taken_s[last] - taken_s[first]
            assert last - first + 1 <= limit.burst + span_s * per_s + 1e-3


@given(per_s=st.floats(0.01, 1000), asked=st.integers(1, 30))
def test_who_waits_as_long_as_told_is_let_in(per_s, asked):
    limit = RateLimit(per_s)
    for _ in range(asked):
        let_in(limit, "a", 100.0)
    fault = refusal(limit, "a", 100.0)
    if fault is not None:
        assert (fault.status, fault.code) == (429, "too_many_requests")
        wait_s = int(fault.headers["Retry-After"])
        assert wait_s >= 1
        assert let_in(limit, "a", 100.0 + wait_s)


def test_a_refused_request_costs_nothing():
    limit = RateLimit(1.0)
    assert [let_in(limit, "a", 0.0) for _ in range(50)].count(True) == 2
    assert let_in(limit, "a", 1.0)


def test_the_longest_silent_are_forgotten(monkeypatch):
    monkeypatch.setattr(module, "_MAX_CLIENTS", 3)
    limit = RateLimit(0.5)
    for client in ("a", "b", "c", "d"):
        assert let_in(limit, client, 0.0)
    assert not let_in(limit, "b", 0.0)
    assert let_in(limit, "a", 0.0), "forgotten, so new"
    assert not let_in(limit, "b", 0.0), "spoke last, so kept"
    assert let_in(limit, "c", 0.0)
