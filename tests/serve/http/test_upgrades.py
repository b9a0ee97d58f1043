"""A parser that ignores offers of another protocol, fed whole and byte by byte."""

from __future__ import annotations

import httptools
import pytest

from compress.serve.http.upgrades import PlainParser


class Requests:
    """What the callbacks said: one (method, fields, body) a request that is no offer."""

    def __init__(self) -> None:
        self.parser = PlainParser(self)
        self.done = []

    def on_message_begin(self):
        self.url, self.headers, self.body = b"", [], b""

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        self.headers.append((name.lower(), value))

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        if not self.parser.offers_upgrade():
            self.done.append((self.parser.get_method(), self.url, self.headers, self.body))


OFFER = (
    b"POST /a?b=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
)


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"],
    ids=["length", "chunks"],
)
def test_a_request_that_offers_an_upgrade_keeps_its_body_and_the_next_one_is_read(body, step):
    requests = Requests()
    sent = (OFFER + body) * 2 + b"GET /last HTTP/1.1\r\n\r\n"
    for start in range(0, len(sent), step):
        requests.parser.feed_data(sent[start : start + step])
    first, second, last = requests.done
    assert first == second
    assert first[:2] == (b"POST", b"/a?b=1")
    assert (b"connection", b"Upgrade, HTTP2-Settings") in first[2]
    assert b"upgrade" not in dict(first[2])
    assert first[3] == b"hello"
    assert last[:2] == (b"GET", b"/last")
    assert requests.parser.should_keep_alive()


def test_an_upgrade_without_a_body_is_a_plain_request():
    requests = Requests()
    requests.parser.feed_data(OFFER.replace(b"POST", b"GET") + b"\r\n" + b"GET /next HTTP/1.1\r\n\r\n")
    assert [request[1] for request in requests.done] == [b"/a?b=1", b"/next"]


def test_a_tunnel_is_not_read_as_a_request():
    requests = Requests()
    with pytest.raises(httptools.HttpParserUpgrade):
        requests.parser.feed_data(b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n")
