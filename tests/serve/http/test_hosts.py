from __future__ import annotations

import pytest

from compress.serve.errors import RequestError
from compress.serve.http.hosts import Hosts, hosts_of


def refused(hosts: Hosts, *named: str, version: str = "1.1", any_name: bool = False) -> int | None:
    """Return the status of the refusal, None when the request passes."""
    headers = [(b"accept", b"*/*"), *((b"host", name.encode("latin-1")) for name in named)]
    try:
        hosts.check(headers, version, any_name=any_name)
    except RequestError as fault:
        return fault.status
    return None


@pytest.mark.parametrize(
    "bound", ["127.0.0.1", "::1", "localhost", "LOCALHOST", "127.0.0.9", "127.1", "::ffff:127.0.0.1"]
)
def test_bound_to_loopback_only_this_machine_s_names_pass(bound: str):
    hosts = hosts_of(bound, ())
    for name in ("localhost", "localhost:8000", "LocalHost", "127.0.0.1:1", "[::1]", "[::1]:8000"):
        assert refused(hosts, name) is None, name
    for name in ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1"):
        assert refused(hosts, name) == 421, name


def test_the_address_it_is_bound_to_is_a_name_too():
    assert refused(hosts_of("127.0.0.9", ()), "127.0.0.9:8000") is None


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", "192.168.1.4", "shop.invalid"])
def test_bound_to_another_address_any_name_passes_unless_some_are_given(bound: str):
    assert refused(hosts_of(bound, ()), "anything.example") is None
    given = hosts_of(bound, ("Shop.example",))
    assert refused(given, "shop.example:443") is None
    assert refused(given, "localhost") is None
    assert refused(given, "anything.example") == 421


def test_names_given_pass_beside_this_machine_s_and_a_star_is_any():
    assert refused(hosts_of("127.0.0.1", ("shop.example",)), "shop.example") is None
    assert refused(hosts_of("127.0.0.1", ("shop.example",)), "localhost") is None
    assert refused(hosts_of("127.0.0.1", ("*",)), "anything.example") is None


@pytest.mark.parametrize("named", [(), ("localhost", "localhost"), ("localhost", "evil.example")])
def test_none_and_several_are_bad_requests_everywhere(named: tuple[str, ...]):
    for hosts in (hosts_of("127.0.0.1", ()), hosts_of("0.0.0.0", ()), Hosts(None)):
        assert refused(hosts, *named, any_name=True) == 400


def test_http_1_0_may_have_none():
    assert refused(hosts_of("127.0.0.1", ()), version="1.0") is None
    assert refused(hosts_of("127.0.0.1", ()), "evil.example", version="1.0") == 421


@pytest.mark.parametrize("name", ["", "a b", "me@localhost", "localhost:", "localhost:123456", "[::1", "<script>", "é"])
def test_what_is_no_host_is_a_bad_request(name: str):
    assert refused(Hosts(None), name) == 400


def test_a_probe_may_call_it_by_any_one_name():
    assert refused(hosts_of("127.0.0.1", ()), "10.1.2.3:8000", any_name=True) is None
