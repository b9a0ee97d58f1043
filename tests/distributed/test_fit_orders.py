"""What a fit hears from process 0; with real processes see test_collectives.py and tests/chain/test_torchrun.py."""

from __future__ import annotations

import json

import pytest

from compress.distributed import collectives
from compress.distributed.fit_orders import Order, StageOver, receive, send, taking_part


@pytest.fixture
def be(monkeypatch):
    """Return a function (rank, what process 0 says next) that makes this one of two processes; it returns what is said.

    Every broadcast of process 0 is kept in that list.
    """

    def become(rank: int, *coming: Order) -> list[dict]:
        said: list[dict] = []
        orders = [json.dumps({"order": order, "id": "train"}).encode() for order in coming]

        def from_first(data: bytes) -> bytes:
            if rank == 0:
                said.append(json.loads(data))
                return data
            return orders.pop(0)

        monkeypatch.setattr(collectives, "world_size", lambda: 2)
        monkeypatch.setattr(collectives, "rank", lambda: rank)
        monkeypatch.setattr(collectives, "from_first", from_first)
        return said

    return become


def test_what_is_sent_with_its_details_is_what_is_received(be):
    said = be(0)
    send(Order.STAGE, {"id": "train"})
    assert said == [{"order": "stage", "id": "train"}]
    be(1, Order.STAGE)
    assert receive() == (Order.STAGE, {"id": "train"})


def test_process_0_calls_the_others_before_its_fit(be):
    said = be(0)
    with taking_part():
        assert said == [{"order": "fit"}]
    assert said == [{"order": "fit"}]


def test_a_helping_process_goes_on_with_the_stage_where_another_fit_follows(be):
    be(1, Order.FIT)
    with taking_part():
        pass


@pytest.mark.parametrize("order", [Order.OVER, Order.STAGE, Order.END])
def test_a_helping_process_leaves_the_stage_where_no_other_fit_follows(be, order):
    be(1, order)
    with pytest.raises(StageOver), taking_part():
        pass


def test_alone_nothing_is_said(monkeypatch):
    monkeypatch.setattr(collectives, "from_first", lambda data: pytest.fail("nobody listens"))
    with taking_part():
        pass
