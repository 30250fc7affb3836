"""Connections to issuers: to public and private hosts, never to what a cloud keeps for itself."""

import socket
import ssl
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp import AddrInfoType, ClientSession, DummyCookieJar, TCPConnector, TraceConfig
from aiohttp.abc import AbstractResolver

from server import __version__

# Beside link-local: where clouds answer their own machines with credentials.
_METADATA_ADDRESSES = frozenset(
    map(
        ip_address,
        ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"),
    )
)
_NAT64 = ip_network("64:ff9b::/96")


class RefusedAddressError(OSError):
    """An issuer's name leads to an address that no issuer has."""


def open_session(
    *, resolver: AbstractResolver | None = None, traces: Iterable[TraceConfig] = ()
) -> ClientSession:
    """
    Make a session that keeps nothing: no cookies, no proxy from the environment.

    Args:
        resolver: finds the addresses of names; the system's if absent.
        traces: told of each question.
    """
    return ClientSession(
        connector=TCPConnector(ssl=tls_context(), resolver=resolver, socket_factory=_open_socket),
        cookie_jar=DummyCookieJar(),
        trust_env=False,
        headers={"User-Agent": f"keyturn/{__version__}", "Accept": "application/json"},
        trace_configs=list(traces),
    )


def tls_context() -> ssl.SSLContext:
    """Give what an issuer must prove: a certificate of its name, over TLS 1.2 or newer."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def is_refused(address: str) -> bool:
    """Tell whether no issuer can be at *address*: link-local, a cloud's metadata, nobody's own."""
    ip = _innermost(ip_address(address))
    return ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip in _METADATA_ADDRESSES


def _open_socket(info: AddrInfoType) -> socket.socket:
    # Asked for each connection, after the name was resolved: a name that was harmless when the
    # configuration was read may lead elsewhere now (DNS rebinding).
    family, kind, protocol, _, address = info
    if is_refused(str(address[0])):
        raise RefusedAddressError(f"it leads to {address[0]}, where no issuer can be")
    return socket.socket(family, kind, protocol)


def _innermost(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    # An IPv4 address can be written, and reached, as several IPv6 ones.
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
