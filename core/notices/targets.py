"""Pure. Where a webhook may go: an address of the web, never this machine or its neighbourhood (SSRF)."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from core.errors import InvalidInput, Unavailable

MAX_URL = 1_000
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Target:
    """A checked address: the request goes to `ip`, so that the name cannot lead elsewhere a moment later."""

    url: str
    host: str
    ip: str
    port: int


def check(url: str, *, local: bool) -> Target:
    """Look up where a URL leads. Raises InvalidInput for one that may not be used, Unavailable for an unknown host.

    `local` allows loopback and link-local addresses.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = parts.hostname or ""
    except ValueError:
        parts, host, port = urlsplit(""), "", 0
    if parts.scheme not in ("http", "https") or not host or len(url) > MAX_URL or not url.isprintable():
        raise InvalidInput(
            "“{url}” is no address of the web; give one like https://example.org/hook.", url=url
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidInput(
            "Leave the user name and password out of the address; requests are signed instead."
        )
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable("The host “{host}” is not known here; check its name.", host=host) from error
    addresses = [str(each[4][0]) for each in found]
    if not local and any(_near(ipaddress.ip_address(each.split("%")[0])) for each in addresses):
        raise InvalidInput(
            "“{host}” leads to this machine or its own network link, where webhooks may not go; set "
            "VERITRAIN_LOCAL_WEBHOOKS=1 to allow it.",
            host=host,
        )
    return Target(url, host, addresses[0], port)


def _near(address: Address) -> bool:
    """Loopback, link-local (clouds keep their secrets there), or nothing that a server could be reached at."""
    inner: Address | None = None
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in ipaddress.ip_network("64:ff9b::/96"):  # an IPv4 address behind NAT64
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is not None:
        return _near(inner)
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or address.is_reserved
        or address in _THIS_NETWORK
        or address == _CLOUD
    )


_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
_CLOUD = ipaddress.ip_address("fd00:ec2::254")
"""Where one cloud keeps its secrets under a private address."""
