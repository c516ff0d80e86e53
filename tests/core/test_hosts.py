"""Which addresses are ours, a neighbour's or a cloud's own, in whatever clothes they come."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import hosts

NEAR = [
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "0.1.2.3", "169.254.169.254", "168.63.129.16", "192.0.0.192", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "fe80::1%eth0", "fd00:ec2::254", "ff02::1",
]  # fmt: skip
PRIVATE = [
    "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.100.100.200", "198.18.0.1", "::ffff:10.0.0.1", "fc00::1",
    "2001:0:7f00:1::", "2001:db8::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize(
    ("addresses", "near", "public"), [(NEAR, True, False), (PRIVATE, False, False), (PUBLIC, False, True)]
)
def test_addresses_are_told_apart(addresses: list[str], near: bool, public: bool) -> None:
    assert [each for each in addresses if hosts.is_near(each) != near] == []
    assert [each for each in addresses if hosts.is_public(each) != public] == []


@given(st.ip_addresses(v=4))
def test_an_address_in_ipv6_clothes_is_judged_as_what_it_is(address: ipaddress.IPv4Address) -> None:
    for clothes in ("::ffff:{}", "64:ff9b::{}"):
        dressed = clothes.format(address)
        assert hosts.is_public(dressed) == hosts.is_public(str(address))
        assert hosts.is_near(dressed) == hosts.is_near(str(address))


@given(st.ip_addresses())
def test_what_is_near_is_never_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert not (hosts.is_near(str(address)) and hosts.is_public(str(address)))
