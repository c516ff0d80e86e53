"""Pure. An image from an address that somebody sent us, fetched without being led into our own network.

The host must be one that the operator named. Its name is resolved once, every address found must be a public one, and
the connection goes to that checked address, so a name that resolves to something else a moment later gains nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from functools import cache
from typing import Any
from urllib.parse import urljoin

import httpx

from core import hosts as network
from core.errors import InvalidInput, VeritrainError
from core.settings import MIB

SECONDS = 10.0
"""For one image, redirects included."""
REDIRECTS = 3
HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "Veritrain"}
PORTS = {"http": 80, "https": 443}
Resolve = Callable[[str, int], list[str]]


def fetch(
    url: str,
    hosts: Collection[str],
    limit: int,
    *,
    resolve: Resolve = network.resolve,
    allowed: Callable[[str], bool] = network.is_public,
) -> bytes:
    """The bytes at a URL of one of `hosts`: names or addresses (IPv6 in brackets), with a port where it is not the
    scheme's own.

    At most `limit` bytes and SECONDS; a redirect may lead to the same host only. Raises InvalidInput.
    """
    until = time.monotonic() + SECONDS
    first = _checked(url, hosts)
    for _ in range(1 + REDIRECTS):
        target = _checked(url, hosts)
        if target.host != first.host:
            raise InvalidInput(
                "“{url}” leads on to another host; send the address of the image itself.", url=_short(url)
            )
        try:
            found = _get(target, limit, until, resolve, allowed)
        except (httpx.HTTPError, OSError, UnicodeError) as error:
            raise InvalidInput(
                "“{url}” could not be fetched; check the address, or send the image itself.", url=_short(url)
            ) from error
        if isinstance(found, bytes):
            return found
        url = urljoin(url, found)
    raise InvalidInput("“{url}” leads on too often; send the address of the image itself.", url=_short(url))


def _checked(url: str, hosts: Collection[str]) -> httpx.URL:
    try:
        target = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError):
        target = httpx.URL("")
    if target.scheme not in PORTS or not target.host or target.userinfo:
        raise InvalidInput(
            "“{url}” is no address of an image; it starts with https:// or http:// and has no password.",
            url=_short(url),
        )
    host = (f"[{target.host}]" if ":" in target.host else target.host).lower()
    name = host if target.port is None else f"{host}:{target.port}"
    if name not in hosts:
        raise InvalidInput(
            "Images may not be fetched from “{host}”; send the image itself, or have the administrator add the host "
            "to VERITRAIN_PREDICT_HOSTS.",
            host=_short(name),
        )
    return target


def _get(
    url: httpx.URL, limit: int, until: float, resolve: Resolve, allowed: Callable[[str], bool]
) -> bytes | str:
    """The body, or where a redirect leads."""
    addresses = resolve(url.raw_host.decode("ascii"), url.port or PORTS[url.scheme])
    if not addresses or not all(allowed(address) for address in addresses):
        raise InvalidInput(
            "“{host}” lies in a private network, from which no images are fetched; send the image itself.",
            host=_short(url.host),
        )
    extensions: dict[str, Any] = {"sni_hostname": url.raw_host.decode("ascii")}
    request = _client().stream(
        "GET",
        url.copy_with(host=addresses[0], fragment=None),
        headers=HEADERS | {"Host": url.netloc.decode("ascii")},
        timeout=_left(until, url),
        extensions=extensions,
    )
    with request as answer:
        if answer.is_redirect and "location" in answer.headers:
            return str(answer.headers["location"])
        if answer.status_code != 200 or answer.headers.get("content-encoding", "identity") != "identity":
            raise InvalidInput(
                "“{url}” answered with {status} instead of an image; check the address.",
                url=_short(str(url)),
                status=answer.status_code,
            )
        body = bytearray()
        declared = answer.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise _too_big(url, limit)
        for chunk in answer.iter_raw():
            body += chunk
            if len(body) > limit:
                raise _too_big(url, limit)
            _left(until, url)
        return bytes(body)


def _left(until: float, url: httpx.URL) -> float:
    """Seconds that are left. Raises InvalidInput where none are."""
    left = until - time.monotonic()
    if left <= 0:
        raise InvalidInput(
            "“{url}” took longer than {limit} s; send the image itself.",
            url=_short(str(url)),
            limit=round(SECONDS),
        )
    return left


def _too_big(url: httpx.URL, limit: int) -> VeritrainError:
    return InvalidInput(
        "“{url}” is larger than {limit} MB; send a smaller image.", url=_short(str(url)), limit=limit // MIB
    )


def _short(text: object) -> str:
    said = str(text)
    return said if len(said) <= 200 else f"{said[:200]}…"


@cache
def _client() -> httpx.Client:
    """Keeps no connection: one to an address would be used for another name that leads there."""
    return httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
