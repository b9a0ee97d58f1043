"""`PlainParser`: a parser of requests that ignores an offer to go on in another protocol, as RFC 9110 §7.8 allows."""

from __future__ import annotations

from typing import Protocol

import httptools

_OFFER = b"upgrade"


class Request(Protocol):
    """What the parser needs of its protocol: the head so far, and the callbacks of httptools."""

    url: bytes
    headers: list[tuple[bytes, bytes]]

    def on_message_begin(self) -> None:
        """Begin a head."""


class PlainParser:
    """httptools' parser, which reads the body of a request that offers an upgrade as well.

    httptools takes what follows such a head for the other protocol, so that the body of a `POST` is lost. Java's and
    curl's clients offer h2c with each first request. Here that head is read again without the offer, then its body.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._parser = self._new()

    def _new(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self._request)
        # The same as uvicorn's: bytes behind a request with `Connection: close` are no error.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def feed_data(self, data: bytes) -> None:
        """Read bytes.

        Raises:
            httptools.HttpParserError: they are no request.
        """
        rest: bytes | None = data
        while rest is not None:
            rest = self._feed(rest)

    def _feed(self, data: bytes) -> bytes | None:
        """Read bytes up to a head that offers an upgrade; return what lies behind it, or None when all is read."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            head = self._head_without_offer()
            self._parser = self._new()
            self._parser.feed_data(head)
            return data[offer.args[0] :]
        return None

    def _head_without_offer(self) -> bytes:
        first = b"%s %s HTTP/%s\r\n" % (self.get_method(), self._request.url, self.get_http_version().encode("ascii"))
        fields = (b"%s: %s\r\n" % field for field in self._request.headers if field[0] != _OFFER)
        return b"".join((first, *fields, b"\r\n"))

    def offers_upgrade(self) -> bool:
        """Return whether the head that is read offers an upgrade and comes again without."""
        return self._parser.should_upgrade() and self.get_method() != b"CONNECT"

    @staticmethod
    def should_upgrade() -> bool:
        """Return False, to uvicorn: no other protocol is spoken here."""
        return False

    def should_keep_alive(self) -> bool:
        """Return whether the connection may live on after this request."""
        return self._parser.should_keep_alive()

    def get_http_version(self) -> str:
        """Return the version of the request, as in "1.1"."""
        return self._parser.get_http_version()

    def get_method(self) -> bytes:
        """Return the method of the request."""
        return self._parser.get_method()
