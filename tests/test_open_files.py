"""Limits of this process, which are as they were afterwards."""

import resource
from collections.abc import Iterator

import pytest
from structlog.typing import EventDict

from server.open_files import allow_files_for

_KIND = resource.RLIMIT_NOFILE
MOST = resource.getrlimit(_KIND)[1]


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = resource.getrlimit(_KIND)
    yield
    resource.setrlimit(_KIND, before)


def test_as_many_files_may_be_open_as_the_system_lets_us(log: list[EventDict]) -> None:
    resource.setrlimit(_KIND, (256, MOST))

    allow_files_for(1)

    assert resource.getrlimit(_KIND)[0] > 256
    assert log == []


@pytest.mark.skipif(MOST == resource.RLIM_INFINITY, reason="there is no limit here")
def test_too_few_files_for_the_connections_are_told(log: list[EventDict]) -> None:
    allow_files_for(MOST)

    (line,) = log
    assert (line["event"], line["log_level"]) == ("server.few_files", "warning")
    assert line["allowed"] == MOST
    assert line["needed"] > MOST * 1.05
