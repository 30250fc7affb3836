"""
Who has sent a request, where proxies stand before us: ``X-Forwarded-For``, or RFC 7239.

A proxy adds the address that it was asked from behind what it was sent.  So the headers are read
from their end, and only as far as those who wrote them are trusted.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Annotated

from aiohttp import hdrs, web
from pydantic import PlainValidator

_PORT = r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?"
_NODE = re.compile(rf"\[([0-9A-Fa-f:.]+)\]{_PORT}|([0-9.]+){_PORT}|([0-9A-Fa-f:.]+)")
# Name and value, which are absent where somebody wrote a separator too many; what follows them.
# Possessive throughout: whatever it is that fits nowhere, nothing is tried twice.
_PAIR = re.compile(
    r"[ \t]*+(?:([!#$%&'*+.^_`|~0-9A-Za-z-]++)="
    r'("(?:[^"\\]|\\.)*+"|[^ \t",;]*+))?+[ \t]*+(;|,|\Z)'
)
_ESCAPED = re.compile(r"\\(.)")
_LENGTH = re.compile(r"[0-9]{1,3}")
# In characters: brackets, an address and a port.
_LONGEST = 60
# Of parameters in what RFC 7239 has: no chain of proxies writes more, and each takes a microsecond.
_MOST_PAIRS = 500
# Addresses that are remembered with what is thought of them.
_REMEMBERED = 1024
_IPV4 = 4
_IPV4_MAPPED = IPv6Network("::ffff:0:0/96")

_NOBODY = ""
_UNREADABLE = "unknown"  # as RFC 7239 section 6.2 has it


def parse_network(value: object) -> IPv4Network | IPv6Network:
    """
    Read a network in CIDR notation, or a single address.

    Raises:
        ValueError: it is neither, or an address within a network.
    """
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    address, slash, length = value.partition("/") if isinstance(value, str) else ("", "", "")
    if "%" in address or (slash and not _LENGTH.fullmatch(length)):
        address = ""
    try:
        ip_address(address)
        loose = ip_network(f"{address}{slash}{length}", strict=False)
    except ValueError:
        raise ValueError("must be an address, or a network such as 10.0.0.0/8") from None
    if loose.network_address != ip_address(address):
        raise ValueError(f"must be a network, such as {loose}: bits are set behind its prefix")
    if isinstance(loose, IPv6Network) and loose.subnet_of(_IPV4_MAPPED):
        raise ValueError("must be written as IPv4")
    return loose


TrustedProxies = tuple[Annotated[IPv4Network | IPv6Network, PlainValidator(parse_network)], ...]
"""Networks of those whose word is taken on where a request came from."""


class Proxies:
    """
    Finds out who has sent a request.

    Args:
        trusted: the networks of the proxies whose word is taken.
    """

    def __init__(self, trusted: TrustedProxies) -> None:
        self._trusted = {
            4: tuple(each for each in trusted if each.version == _IPV4),
            6: tuple(each for each in trusted if each.version != _IPV4),
        }
        # The same few proxies and clients come again and again.
        self._judge = lru_cache(_REMEMBERED)(self._judge_anew)

    def client_of(self, request: web.BaseRequest) -> str | None:
        """Give the address of who has sent *request*; none where its connection has none."""
        if not (peer := request.remote):
            return None
        # An address of a link has the link's name behind it.
        address, is_trusted = self._judge(peer.partition("%")[0])
        if not is_trusted:
            return address or peer
        # What could not be read has none: a plain dict, which cannot getall().
        if not (headers := request.headers):
            return address
        said = [
            self._walk(address, entries)
            for entries in (
                _forwarded_for(headers.getall(hdrs.X_FORWARDED_FOR, ())),
                _forwarded(headers.getall(hdrs.FORWARDED, ())),
            )
            if entries
        ]
        # A proxy writes one of the two; where they differ the other came from the client, and
        # nobody can tell which.
        return said[0] if said and said[0] == said[-1] else address

    def _walk(self, address: str, entries: list[str]) -> str:
        for entry in reversed(entries):
            # What is too long for an address must not be remembered either.
            if len(entry) > _LONGEST:
                return address
            found, is_trusted = self._judge(entry)
            if not found:
                return address
            address = found
            if not is_trusted:
                return address
        return address

    def _judge_anew(self, text: str) -> tuple[str, bool]:
        """Read an address, and tell whether it is a trusted one."""
        address = _address_in(text)
        if address is None:
            return _NOBODY, False
        return str(address), any(address in each for each in self._trusted[address.version])


def _address_in(text: str) -> IPv4Address | IPv6Address | None:
    if (node := _NODE.fullmatch(text)) is None:
        return None
    try:
        address = ip_address(node[1] or node[2] or node[3])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _forwarded_for(lines: Sequence[str]) -> list[str]:
    entries = (entry.strip(" \t") for line in lines for entry in line.split(","))
    return [entry for entry in entries if entry]


def _forwarded(lines: Sequence[str]) -> list[str]:
    """Give who is named by each element of RFC 7239; the same proxies in the same order."""
    if sum(line.count(",") + line.count(";") for line in lines) > _MOST_PAIRS:
        return [_UNREADABLE]
    return [entry for line in lines for entry in _elements_of(line)]


def _elements_of(line: str) -> Iterator[str]:
    position, end = 0, ","
    entry: str | None = None  # of an element that has begun
    while end:
        pair = _PAIR.match(line, position)
        if pair is None:
            # From here on nobody knows what is quoted and what is not.
            yield _UNREADABLE
            return
        position, name, value, end = pair.end(), *pair.groups()
        if name is not None:
            is_for = name.lower() == "for"
            if is_for and entry:
                value = _UNREADABLE  # named twice
            entry = _unquoted(value) if is_for else (entry or "")
        if end != ";" and entry is not None:
            yield entry or _UNREADABLE
            entry = None


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value or _UNREADABLE
    return _ESCAPED.sub(r"\1", value[1:-1]) or _UNREADABLE
