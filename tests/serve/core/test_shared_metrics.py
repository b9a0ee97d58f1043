"""Siblings over their sockets: each is counted once, whether it lives, has left, was killed or hangs."""

from __future__ import annotations

import asyncio

import pytest

from compress.serve.core import shared_metrics as module
from compress.serve.core.shared_metrics import SharedMetrics


@pytest.fixture
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("shared_metrics")  # short: a socket's path has at most 107 bytes


def member(folder, count):
    return SharedMetrics(folder, lambda: {"count": count, "gauges": {"processes": 1}})


def counts(snapshots):
    return sorted(one["count"] for one in snapshots)


def test_alone_it_says_its_own():
    async def scenario():
        alone = member(None, 3)
        await alone.join()
        found = await alone.snapshots()
        await alone.leave()
        return found

    assert asyncio.run(scenario()) == [{"count": 3, "gauges": {"processes": 1}}]


def test_any_of_them_says_the_whole(folder):
    async def scenario():
        shared_metrics = [member(folder, 10**number) for number in range(3)]
        for one in shared_metrics:
            await one.join()
        found = [counts(await one.snapshots()) for one in shared_metrics]
        for one in shared_metrics:
            await one.leave()
        return found

    assert asyncio.run(scenario()) == [[1, 10, 100]] * 3


def test_who_leaves_is_counted_still_but_its_gauges_end(folder):
    async def scenario():
        stays, leaves = member(folder, 1), member(folder, 10)
        await stays.join()
        await leaves.join()
        await leaves.leave()
        found = await stays.snapshots()
        await stays.leave()
        return found

    found = asyncio.run(scenario())
    assert counts(found) == [1, 10]
    assert [one["gauges"] for one in found] == [{"processes": 1}, {}]


def test_who_answers_and_leaves_in_the_same_moment_is_counted_once(folder, monkeypatch):
    async def scenario():
        stays, leaves = member(folder, 1), member(folder, 10)
        await stays.join()
        await leaves.join()

        async def ask(path, real=module._ask):
            answer = await real(path)
            await leaves.leave()
            return answer

        monkeypatch.setattr(module, "_ask", ask)
        found = counts(await stays.snapshots()), counts(await stays.snapshots())
        await stays.leave()
        return found

    assert asyncio.run(scenario()) == ([1, 10], [1, 10])


def test_who_was_killed_or_hangs_or_talks_nonsense_holds_nobody_up(folder, monkeypatch):
    monkeypatch.setattr(module, "_ANSWER_S", 0.1)

    async def silent(reader, writer):
        await reader.read()  # until the asker gives up
        writer.close()

    async def nonsense(_, writer):
        writer.write(b"{")
        writer.close()

    async def scenario():
        stays = member(folder, 1)
        await stays.join()
        (folder / "1-killed.sock").touch()
        servers = [
            await asyncio.start_unix_server(silent, folder / "2-hangs.sock"),
            await asyncio.start_unix_server(nonsense, folder / "3-nonsense.sock"),
        ]
        found = await stays.snapshots()
        for server in servers:
            server.close()
        await asyncio.sleep(0.01)  # lets the silent one see that the asker has gone
        await stays.leave()
        return found

    assert counts(asyncio.run(scenario())) == [1]


def test_leaving_takes_the_socket_away_and_leaves_one_whole_file(folder):
    async def scenario():
        one = member(folder, 1)
        await one.join()
        sockets = list(folder.iterdir())
        await one.leave()
        return sockets

    (socket,) = asyncio.run(scenario())
    assert socket.suffix == ".sock"
    assert [path.suffix for path in folder.iterdir()] == [".json"]


def test_leaving_without_having_joined_is_nothing(folder):
    asyncio.run(member(folder, 1).leave())
    assert list(folder.iterdir()) == []
