"""The base of all settings, and the units they are written in."""

import re
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) *(s|m|h|d)?")
_SIZE = re.compile(r"([0-9]{1,15}) *(KiB|MiB|GiB)?")
_PLAIN = re.compile(r"[!-~]+")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class Settings(BaseModel):
    """
    A frozen group of settings that stands beside the code that obeys it.

    An unknown key is a fault: a setting with a typing error must not pass for one that works.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )


class SettingError(ValueError):
    """A fault of one key that was found by looking at several."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def parse_seconds(value: object) -> object:
    """
    Read a duration: ``30s``, ``10m``, ``1h``, ``1d``, or a bare number of seconds.

    Raises:
        ValueError: *value* is text of another form.
    """
    if isinstance(value, bool):
        raise ValueError("write a duration such as 30s, 10m or 1h")
    if not isinstance(value, str):
        return value
    if (match := _DURATION.fullmatch(value.strip())) is None:
        raise ValueError("write a duration such as 30s, 10m or 1h")
    return float(match[1]) * _UNITS[match[2] or "s"]


def parse_bytes(value: object) -> object:
    """
    Read a size: ``256KiB``, ``1MiB``, ``2GiB``, or a bare number of bytes.

    Raises:
        ValueError: *value* is text of another form.
    """
    if isinstance(value, bool):
        raise ValueError("write a size such as 256KiB or 1MiB")
    if not isinstance(value, str):
        return value
    if (match := _SIZE.fullmatch(value.strip())) is None:
        raise ValueError("write a size such as 256KiB or 1MiB")
    return int(match[1]) * _SIZES[match[2] or ""]


def is_loopback(host: str) -> bool:
    """Tell whether *host* can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def base_url(host: str, port: int) -> str:
    """Write an address of ours as a URL."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def check_url(url: str) -> str:
    """
    Accept ``https`` anywhere and ``http`` on loopback only.

    Raises:
        ValueError: another scheme, no host, credentials or a fragment in it.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an https:// address")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must be https:// (http:// is for loopback only)")
    if parts.port == 0:  # reading it also refuses what is no port
        raise ValueError("must have a port that can be asked")
    if parts.username is not None or parts.fragment or not _PLAIN.fullmatch(url):
        raise ValueError("must be a plain address, without user, fragment or blanks")
    return url


def _check_issuer(url: str) -> str:
    if urlsplit(url).query:
        raise ValueError("must have no query (RFC 8414 section 2)")
    return url


def _refuse_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


Seconds = Annotated[float, BeforeValidator(parse_seconds), Field(ge=0, allow_inf_nan=False)]
"""A duration, in seconds."""

Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(ge=0)]
"""A size, in bytes."""

HttpsUrl = Annotated[str, AfterValidator(check_url)]
"""An address that may be fetched: ``https``, or ``http`` on loopback."""

IssuerUrl = Annotated[HttpsUrl, AfterValidator(_check_issuer)]
"""The name of an issuer (RFC 8414 section 2), kept character by character."""

Port = Annotated[int, BeforeValidator(_refuse_bool), Field(ge=0, le=65535)]
"""A TCP port; 0 lets the system choose."""

Connections = Annotated[int, BeforeValidator(_refuse_bool), Field(ge=1, le=1_000_000)]
"""A number of connections."""

Workers = Annotated[int, BeforeValidator(_refuse_bool), Field(ge=0, le=256)]
"""A number of processes; 0 is one for each core."""
