"""Which `Host` a request may name: not one of another origin whose name leads to this machine (DNS rebinding)."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

from compress.serve.errors import bad_request, unknown_host

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::\d{1,5})?")


class Hosts:
    """The names that this server answers to."""

    def __init__(self, allowed: frozenset[str] | None) -> None:
        """Take the names in lower case, an IPv6 address in brackets; None: any."""
        self._allowed = allowed

    def check(self, headers: Iterable[tuple[bytes, bytes]], http_version: str, *, any_name: bool = False) -> None:
        """Let a request pass whose one `Host` is allowed; one of HTTP/1.0 may have none.

        Args:
            headers: names in lower case, and values.
            http_version: such as "1.1".
            any_name: whether the one host may have any name here.

        Raises:
            RequestError: 400 none, several or none that can be read (RFC 9112, section 3.2); 421 another host.
        """
        named = [value for name, value in headers if name == b"host"]
        if not named and http_version == "1.0":
            return
        if len(named) != 1:
            raise bad_request(f"a request has one Host header, this one has {len(named)}")
        found = _HOST.fullmatch(named[0].decode("latin-1").strip().lower())
        if found is None:
            raise bad_request("the Host header is no host")
        if not any_name and self._allowed is not None and found[1] not in self._allowed:
            raise unknown_host(found[1])


def hosts_of(host: str, allowed_hosts: Iterable[str]) -> Hosts:
    """Return the names of a server bound to `host`: this machine's when only it can connect, and `allowed_hosts`.

    Bound to another address it has any name, unless some are given; "*" among them allows any.
    """
    given = frozenset(name.lower() for name in allowed_hosts)
    if "*" in given or not (given or _is_loopback(host)):
        return Hosts(None)
    return Hosts(given | _LOOPBACK | {f"[{host}]" if ":" in host else host.lower()})


def _is_loopback(host: str) -> bool:
    """Return whether what the system takes a name or an address for is loopback; `127.1` is, a host's name may be."""
    try:
        address = ip_address(socket.getaddrinfo(host, None)[0][4][0])
    except (OSError, ValueError):
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
