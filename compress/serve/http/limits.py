"""Who may ask, and how often: the API key and the rate of each client."""

from __future__ import annotations

import hmac
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from time import monotonic

from compress.serve.errors import too_many_requests, unauthorized

_BURST = 2.0  # seconds' worth of requests that a client may make at once
_WRONG_KEYS_PER_S = 5.0
_MAX_CLIENTS = 10_000
_ROUNDING = 1e-6  # of tokens: who waits exactly as long as told is let in


class ApiKey:
    """The one key that opens the server."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._wrong = RateLimit(_WRONG_KEYS_PER_S)

    def is_in(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Return whether a request carries the key in `X-API-Key` or as `Authorization: Bearer`."""
        return hmac.compare_digest(_key_in(headers), self._key)

    def check(self, headers: Iterable[tuple[bytes, bytes]], client: str) -> None:
        """Let a request pass that carries the key; compared in constant time.

        Raises:
            RequestError: 401 no key; 401 another one, 429 when its client address has sent too many of them.
        """
        given = _key_in(headers)
        if not hmac.compare_digest(given, self._key):
            if given:
                self._wrong.take(client)
            raise unauthorized()


def _key_in(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    given = b""
    for name, value in headers:
        if name == b"x-api-key":
            given = value
        elif name == b"authorization" and value[:7].lower() == b"bearer ":
            given = value[7:].strip()
    return given


class RateLimit:
    """A token bucket for each client address; the longest silent are forgotten beyond 10,000."""

    def __init__(self, per_s: float, clock: Callable[[], float] = monotonic) -> None:
        """Take the requests a second of one client; `clock` gives the time in seconds."""
        self.per_s = per_s
        self._clock = clock
        self.burst = max(1.0, per_s * _BURST)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address -> (tokens, at which time)

    def take(self, client: str) -> None:
        """Count one request.

        Raises:
            RequestError: 429 with the seconds after which the next one is let in.
        """
        now_s = self._clock()
        tokens, then_s = self._buckets.pop(client, (self.burst, now_s))
        tokens = min(self.burst, tokens + (now_s - then_s) * self.per_s)
        allowed = tokens >= 1 - _ROUNDING
        self._buckets[client] = (tokens - 1 if allowed else tokens, now_s)
        if len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)
        if not allowed:
            raise too_many_requests(self.per_s, math.ceil((1 - tokens) / self.per_s))
