"""Pure. Which addresses of the network a request of ours may go to, when somebody else named the host.

Names are looked up once and every address found is judged; the request then goes to a judged address, so that a name
which leads elsewhere a moment later gains nothing (SSRF by DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import socket

PROVIDERS = tuple(
    ipaddress.ip_network(network) for network in ("168.63.129.16/32", "192.0.0.0/24", "fd00:ec2::254/128")
)
"""Where machines of a cloud ask their own host for secrets: Azure, Oracle, Amazon. The first two look public."""
NAT64 = ipaddress.ip_network("64:ff9b::/96")
THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host. Raises OSError, or UnicodeError for a name that cannot be one."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def is_public(address: str) -> bool:
    """False for loopback, link-local, private, shared and reserved addresses, also where hidden in an IPv6 one."""
    ip = _reached(address)
    if isinstance(ip, ipaddress.IPv6Address) and (ip.sixtofour or ip.teredo):
        return False  # tunnels that nobody needs any more
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or _asks_provider(ip))


def is_near(address: str) -> bool:
    """True for this machine, its own network link, a cloud's own host, and what no server could be reached at."""
    ip = _reached(address)
    if isinstance(ip, ipaddress.IPv6Address) and ip.sixtofour:
        ip = ip.sixtofour
    return (
        ip.is_loopback
        or ip.is_link_local
        or ip.is_unspecified
        or ip.is_multicast
        or ip.is_reserved
        or ip in THIS_NETWORK
        or _asks_provider(ip)
    )


def _asks_provider(ip: Address) -> bool:
    return any(ip in network for network in PROVIDERS)


def _reached(address: str) -> Address:
    """The IPv4 address at the end of a translated, mapped or compatible IPv6 one; else the address itself."""
    ip: Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and (ip in NAT64 or int(ip) < 2**48) and int(ip) > 1:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip
