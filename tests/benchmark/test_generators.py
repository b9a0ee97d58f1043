from __future__ import annotations

from contextlib import closing

import pytest

from compress.benchmark.generators import Generators
from compress.benchmark.http_client import LOCAL, Address
from compress.benchmark.images import generated
from compress.benchmark.server_load import LOST, OK, arrivals
from compress.benchmark.server_process import free_port
from compress.errors import StageError
from tests.benchmark.tiny_server import SOURCE, start_tiny

NO_TWICE = SOURCE.replace(
    'body = self.rfile.read(int(self.headers["Content-Length"]))',
    'body = self.rfile.read(int(self.headers["Content-Length"])); new = body not in seen; seen.add(body)\n'
    '        if not new: return self.answer(409, b"")',
).replace("class Server", "seen = set()\nclass Server")


@pytest.mark.slow
def test_the_processes_offer_one_poisson_process_together():
    with start_tiny() as server:
        address = Address(LOCAL, server.port, "/classify")
        with closing(Generators(address, generated()[:2], count=2, cores={0})) as generators:
            outcomes = generators.offer(60, 1.0, seed=3, mark="")
            again = generators.offer(60, 1.0, seed=3, mark="")
    due_s = sorted([*arrivals(30, 1.0, 6), *arrivals(30, 1.0, 7)])
    assert sorted(outcome.due_s for outcome in outcomes) == pytest.approx(due_s)
    assert sorted(outcome.due_s for outcome in again) == pytest.approx(due_s)
    assert {outcome.status for outcome in outcomes} == {OK}
    assert all(0 <= outcome.lag_s <= outcome.latency_s for outcome in outcomes)


@pytest.mark.slow
def test_marked_images_are_all_new_and_others_are_not():
    with start_tiny(NO_TWICE) as server:
        address = Address(LOCAL, server.port, "/classify")
        with closing(Generators(address, generated()[:2], count=2, cores={0})) as generators:
            cold = [o for seed in (0, 1) for o in generators.offer(40, 0.5, seed=seed, mark="x")]
            seen = generators.offer(40, 0.5, seed=2, mark="")
    assert {outcome.status for outcome in cold} == {OK}
    assert sum(outcome.status == OK for outcome in seen) == 2


def test_a_server_that_is_not_there_is_counted_as_lost():
    with closing(Generators(Address(LOCAL, free_port()), generated()[:1], count=1, cores={0})) as generators:
        assert {outcome.status for outcome in generators.offer(20, 0.3, seed=0, mark="")} == {LOST}


def test_a_process_that_ended_is_an_error_that_says_why():
    with (
        closing(Generators(Address(LOCAL, 1), [], count=1, cores={0})) as generators,
        pytest.raises(StageError, match=r"makes the load has ended: .*StopIteration"),
    ):
        generators.offer(1000, 0.3, seed=0, mark="")


def test_the_processes_are_ended():
    generators = Generators(Address(LOCAL, 1), [], count=2, cores={0})
    processes = generators._processes
    assert all(process.poll() is None for process in processes)
    generators.close()
    assert all(process.poll() is not None for process in processes)
