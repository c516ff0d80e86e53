"""Pure. Where a webhook may go: an address of the web, never this machine or its neighbourhood (SSRF)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from core import hosts
from core.errors import InvalidInput, Unavailable

MAX_URL = 1_000


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
        addresses = hosts.resolve(host, port)
    except (OSError, UnicodeError) as error:
        raise Unavailable("The host “{host}” is not known here; check its name.", host=host) from error
    if not local and any(map(hosts.is_near, addresses)):
        raise InvalidInput(
            "“{host}” leads to this machine or its own network link, where webhooks may not go; set "
            "VERITRAIN_LOCAL_WEBHOOKS=1 to allow it.",
            host=host,
        )
    return Target(url, host, addresses[0], port)
