from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from compress.serve.config import ServeConfig


def test_defaults_are_closed_to_the_network_and_bounded():
    config = ServeConfig(models=[Path("model.onnx")])
    assert (config.host, config.port, config.workers) == ("127.0.0.1", 8000, 1)
    assert config.max_body_bytes == 10 << 20
    assert config.max_queue > 0
    assert config.timeout_ms > 0


@pytest.mark.parametrize("bad", [{"port": 70_000}, {"threads": 0}, {"max_queue": -1}, {"timeout_ms": 0}, {"prot": 1}])
def test_refuses_what_cannot_be_served(bad):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        ServeConfig(models=[Path("model.onnx")], **bad)


@pytest.mark.parametrize("name", ["", "::1", "shop.example:8000", "http://shop.example", "a b", "x" * 300])
def test_a_host_that_no_request_can_name_is_refused(name):
    with pytest.raises(ValidationError, match="without scheme and port"):
        ServeConfig(allowed_hosts=(name,))


def test_hosts_that_a_request_can_name():
    names = ("*", "[::1]", "shop.example", "SHOP", "10.0.0.1")
    assert ServeConfig(allowed_hosts=names).allowed_hosts == names
