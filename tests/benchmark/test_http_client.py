from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest

from compress.benchmark.http_client import Address, Connection, LostError, Pool, parse_address, request_bytes
from compress.errors import UsageError


async def ask(answer, requests=(b"one",), **options):
    """Return the replies of a server that does `answer(reader, writer, body)`, and how many connections it saw."""
    connections = 0

    async def serve(reader, writer):
        nonlocal connections
        connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await answer(writer, await reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    pool = Pool(server.sockets[0].getsockname()[1], options.pop("limit", 4), **options)
    try:
        return [await pool.ask(request_bytes("/x", body)) for body in requests], connections
    finally:
        pool.close()
        server.close()


async def echo(writer, body):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def test_a_request_is_one_post_with_its_length():
    text = request_bytes("/v1/classify", b"\xff\xd8", {"X-Timeout-Ms": "50"})
    head, body = text.split(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /v1/classify HTTP/1.1"
    assert b"Content-Length: 2" in head.splitlines()
    assert b"X-Timeout-Ms: 50" in head.splitlines()
    assert body == b"\xff\xd8"


def test_a_connection_is_used_again_and_each_request_gets_its_own_answer():
    replies, connections = asyncio.run(ask(echo, (b"one", b"two", b"three")))
    assert [(reply.status, reply.body) for reply in replies] == [(200, b"one"), (200, b"two"), (200, b"three")]
    assert connections == 1


def test_without_keep_alive_each_request_has_a_connection_of_its_own():
    assert asyncio.run(ask(echo, (b"one", b"two"), keep_alive=False))[1] == 2


def test_an_answer_in_pieces_is_put_together():
    async def in_pieces():
        connection = Connection()
        connection.connection_made(Mock(asyncio.Transport))
        reply = asyncio.create_task(connection.ask(b"request"))
        await asyncio.sleep(0)
        for piece in (b"HTTP/1.1 503 No\r\ncontent-le", b"ngth: 4\r\n\r", b"\nab", b"cd"):
            assert not reply.done()
            connection.data_received(piece)
            await asyncio.sleep(0)
        return await reply

    reply = asyncio.run(in_pieces())
    assert (reply.status, reply.body) == (503, b"abcd")


def test_a_connection_that_the_server_will_close_is_not_used_again():
    async def close(writer, body):
        writer.write(b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    replies, connections = asyncio.run(ask(close, (b"one", b"two")))
    assert [reply.status for reply in replies] == [503, 503]
    assert connections == 2


def test_half_an_answer_is_a_lost_request():
    async def break_off(writer, body):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    with pytest.raises(LostError):
        asyncio.run(ask(break_off))


def test_an_answer_without_a_length_is_refused():
    async def chunked(writer, body):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")

    with pytest.raises(LostError, match="Content-Length"):
        asyncio.run(ask(chunked))


def test_nobody_listening_is_a_lost_request():
    with pytest.raises(LostError):
        asyncio.run(Pool(1, 1).ask(b""))


def test_at_most_so_many_connections_are_open_at_once():
    inside = most = 0
    full = asyncio.Event()

    async def wait(writer, body):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside == 3:
            full.set()
        await full.wait()
        for _ in range(100):  # whoever else is let in comes meanwhile
            await asyncio.sleep(0)
        inside -= 1
        await echo(writer, body)

    async def many():
        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            await wait(writer, b"")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        pool = Pool(server.sockets[0].getsockname()[1], 3, keep_alive=False)
        await asyncio.gather(*(pool.ask(request_bytes("/", b"")) for _ in range(9)))
        server.close()

    asyncio.run(many())
    assert most == 3


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8000", Address("127.0.0.1", 8000, "/v1/classify")),
        ("http://pi.local/", Address("pi.local", 80, "/v1/classify")),
        ("http://pi:81/predict?top_k=1", Address("pi", 81, "/predict?top_k=1")),
    ],
)
def test_an_address_is_read_from_a_url(url, address):
    assert parse_address(url) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "url", ["", "pi:8000", "https://pi", "http://", "http://pi:99999", "http://pi/a b", "ftp://pi"]
)
def test_another_address_is_refused(url):
    with pytest.raises(UsageError, match="not an address") as error:
        parse_address(url)
    assert "http://127.0.0.1:8000" in error.value.hint


def test_a_request_names_the_host_it_is_for():
    assert b"\r\nHost: pi:81\r\n" in request_bytes("/x", b"", host="pi:81")
