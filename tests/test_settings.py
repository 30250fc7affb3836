from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from server.settings import Bytes, Port, Seconds, check_url, is_loopback

seconds: TypeAdapter[float] = TypeAdapter(Seconds)
size: TypeAdapter[int] = TypeAdapter(Bytes)
port: TypeAdapter[int] = TypeAdapter(Port)


@pytest.mark.parametrize(
    ("written", "expected"),
    [("30s", 30), ("10m", 600), ("1h", 3600), ("1d", 86400), ("1.5m", 90), (5, 5), ("5", 5), (0, 0), (" 30s ", 30), ("2 h", 7200)],
)  # fmt: skip
def test_a_duration_is_read_as_people_write_it(written: Any, expected: float) -> None:
    assert seconds.validate_python(written) == expected


@pytest.mark.parametrize("written", ["", "soon", "-5s", "5 parsecs", "1h30m", "٣s", -1, True, None, [], "inf", float("inf"), float("nan")])  # fmt: skip
def test_what_is_no_duration_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        seconds.validate_python(written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [("256KiB", 262_144), ("1MiB", 1_048_576), ("2 GiB", 2_147_483_648), (" 5 ", 5), (5, 5), (0, 0), ("0KiB", 0)],
)  # fmt: skip
def test_a_size_is_read_as_people_write_it(written: Any, expected: int) -> None:
    assert size.validate_python(written) == expected


@pytest.mark.parametrize("written", ["", "much", "-1KiB", "1kb", "1MB", "1.5MiB", "٣KiB", "9" * 5000, -1, 1.5, True, None, []])  # fmt: skip
def test_what_is_no_size_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        size.validate_python(written)


@pytest.mark.parametrize("written", [-1, 65536, True, "http", None, 1.5])
def test_what_is_no_port_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        port.validate_python(written)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.example", ""])  # noqa: S104  # fmt: skip
def test_anything_else_is_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "url", ["https://issuer.example/", "http://localhost:3011/", "http://[::1]:80/keys?a=b"]
)
def test_an_address_that_may_be_fetched_is_kept_as_it_is(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    ["", "issuer", "https://", "ftp://x/", "http://issuer.example/", "https://a@b/", "https://x/#y", "https://x/ y", "https://é/", "http://[", "file:///etc/passwd", "https://a:99999", "https://a:b", "https://a:0/"],
)  # fmt: skip
def test_an_address_that_may_not_be_fetched_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_url(url)
