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
    ApiKey("secret").check(headers, "a")


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
        ApiKey("secret").check(headers, "a")
    assert (caught.value.status, caught.value.code) == (401, "unauthorized")
    assert caught.value.headers["WWW-Authenticate"] == "Bearer"
    assert "secret" not in caught.value.message


def test_a_key_beyond_ascii_opens_by_its_utf8():
    ApiKey("schlüssel").check([(b"x-api-key", "schlüssel".encode())], "a")


class Clients:
    """Clients before one limit, and the clock that it reads."""

    def __init__(self, per_s: float, now_s: float = 0.0) -> None:
        self.now_s = now_s
        self.limit = RateLimit(per_s, clock=lambda: self.now_s)

    def refusal(self, client: str = "a") -> RequestError | None:
        try:
            self.limit.take(client)
        except RequestError as fault:
            return fault
        return None

    def let_in(self, client: str = "a", *, after_s: float = 0.0) -> bool:
        self.now_s += after_s
        return self.refusal(client) is None

    def many(self, count: int) -> list[bool]:
        return [self.let_in() for _ in range(count)]


def test_a_burst_of_two_seconds_then_the_rate_for_each_client_by_itself():
    clients = Clients(5.0)
    assert clients.many(12) == [True] * 10 + [False] * 2
    assert clients.let_in("b")
    assert not clients.let_in(after_s=0.1)
    assert clients.let_in(after_s=0.1)
    assert not clients.let_in()


@pytest.mark.parametrize("silent_s", [2.0, 3.0, 1000.0])
def test_a_silence_saves_no_more_than_one_burst(silent_s):
    clients = Clients(5.0)
    assert clients.let_in()
    clients.now_s += silent_s
    assert clients.many(12) == [True] * 10 + [False] * 2


def test_less_than_one_request_in_two_seconds_still_comes_one_at_a_time():
    clients = Clients(0.25)
    assert clients.many(2) == [True, False]
    assert not clients.let_in(after_s=3.9)
    assert clients.let_in(after_s=0.1)
    clients.now_s += 1000
    assert clients.many(2) == [True, False]


@given(
    per_s=st.floats(0.01, 50),
    gaps_s=st.lists(st.floats(0, 3), min_size=1, max_size=60),
    begin_s=st.floats(0, 1e6),
)
def test_no_span_of_time_holds_more_than_the_burst_and_the_rate(per_s, gaps_s, begin_s):
    clients, taken_s = Clients(per_s, begin_s), []
    for gap_s in gaps_s:
        if clients.let_in(after_s=gap_s):
            taken_s.append(clients.now_s)
    for first in range(len(taken_s)):
        for last in range(first, len(taken_s)):
            span_s = taken_s[last] - taken_s[first]
            assert last - first + 1 <= clients.limit.burst + span_s * per_s + 1e-3


@given(per_s=st.floats(0.01, 1000), asked=st.integers(1, 30))
def test_who_waits_as_long_as_told_is_let_in(per_s, asked):
    clients = Clients(per_s, 100.0)
    clients.many(asked)
    fault = clients.refusal()
    if fault is not None:
        assert (fault.status, fault.code) == (429, "too_many_requests")
        wait_s = int(fault.headers["Retry-After"])
        assert wait_s >= 1
        assert clients.let_in(after_s=wait_s)


def test_a_refused_request_costs_nothing():
    clients = Clients(1.0)
    assert clients.many(50).count(True) == 2
    assert clients.let_in(after_s=1.0)


def test_the_longest_silent_are_forgotten(monkeypatch):
    monkeypatch.setattr(module, "_MAX_CLIENTS", 3)
    clients = Clients(0.5)
    for client in ("a", "b", "c", "d"):
        assert clients.let_in(client)
    assert not clients.let_in("b")
    assert clients.let_in("a"), "forgotten, so new"
    assert not clients.let_in("b"), "spoke last, so kept"
    assert clients.let_in("c")


def test_wrong_keys_are_limited_for_each_client_and_the_right_one_passes_all_the_same():
    key, wrong, right = ApiKey("secret"), [(b"x-api-key", b"guess")], [(b"x-api-key", b"secret")]

    def refusal(headers: list[tuple[bytes, bytes]], client: str) -> int | None:
        try:
            key.check(headers, client)
        except RequestError as fault:
            return fault.status
        return None

    statuses = [refusal(wrong, "a") for _ in range(100)]
    assert statuses[:10] == [401] * 10
    assert statuses.count(429) >= 80
    assert refusal(right, "a") is None
    assert refusal([], "a") == 401, "no key is no guess"
    assert refusal(wrong, "b") == 401


def test_whether_the_key_is_in_a_request_is_asked_without_counting():
    key = ApiKey("secret")
    assert key.is_in([(b"authorization", b"Bearer secret")])
    assert not any(key.is_in([(b"x-api-key", b"guess")]) for _ in range(50))
    with pytest.raises(RequestError) as caught:
        key.check([(b"x-api-key", b"guess")], "a")
    assert caught.value.status == 401
