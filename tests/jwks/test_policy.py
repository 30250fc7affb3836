from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from server.jwks.policy import RefreshPolicy, parse_retry_after

DATE = "Sat, 21 Nov 2026 12:00:00 GMT"


def later(seconds: int) -> str:
    return format_datetime(parsedate_to_datetime(DATE) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 300),
        ({"Cache-Control": "max-age=120"}, 120),
        ({"Cache-Control": "public, Max-Age=120, immutable"}, 120),
        ({"Cache-Control": 'max-age="120"'}, 120),
        ({"Cache-Control": "max-age=200", "Age": "80"}, 120),
        ({"Cache-Control": "max-age=200", "Age": "soon"}, 200),
        ({"Cache-Control": "max-age=0"}, 60),
        ({"Cache-Control": "max-age=15"}, 60),
        ({"Cache-Control": "max-age=120", "Age": "500"}, 60),
        ({"Cache-Control": "no-cache"}, 60),
        ({"Cache-Control": "no-store"}, 60),
        ({"Cache-Control": "max-age=1000000000"}, 900),
        ({"Cache-Control": "max-age=-5"}, 300),
        ({"Cache-Control": "max-age=soon"}, 300),
        ({"Cache-Control": "max-age=٣"}, 300),
        ({"Cache-Control": "private"}, 300),
        ({"Date": DATE, "Expires": later(120)}, 120),
        ({"Date": DATE, "Expires": later(-120)}, 60),
        ({"Date": DATE, "Expires": later(10**6)}, 900),
        ({"Date": DATE, "Expires": "0"}, 60),
        ({"Date": DATE, "Expires": "soon"}, 60),
        ({"Date": DATE, "Expires": "Sat, 21 Nov 99999 12:00:00 GMT"}, 60),
        ({"Date": DATE, "Expires": "Sat, 21 Nov 2026 12:00:00 +99999999"}, 60),
        ({"Date": "soon", "Expires": later(120)}, 300),
        ({"Cache-Control": "max-age=" + "9" * 400}, 900),
        ({"Cache-Control": "max-age=" + "9" * 400, "Age": "9" * 400}, 60),
        ({"Expires": later(120)}, 300),
        ({"Date": DATE, "Expires": later(120), "Cache-Control": "max-age=600"}, 600),
        ({"Date": DATE, "Expires": later(200), "Age": "80"}, 120),
        ({"Cache-Control": "max-age=120, no-cache"}, 60),
    ],
    ids=str,
)
def test_the_life_of_a_key_set_is_as_its_issuer_states_within_bounds(
    headers: dict[str, str], seconds: float
) -> None:
    assert RefreshPolicy().lifetime(headers) == seconds


@given(st.floats(0, 1), st.floats(1, 1000))
def test_a_refresh_comes_ahead_of_the_end_and_never_in_step(random: float, lifetime: float) -> None:
    delay = RefreshPolicy().refresh_in(lifetime, random=random)

    assert 0.7 * lifetime < delay < 0.9 * lifetime


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_back_off_grows_to_a_minute_and_no_further(failures: int, random: float) -> None:
    delay = RefreshPolicy().retry_in(failures, random=random)

    assert 0.1 <= delay <= min(60, 2.0 ** min(failures - 1, 10))


@pytest.mark.parametrize(("asked", "delay"), [(0, 1), (7, 7), (1000, 300 / 1.1)])
def test_the_issuer_may_ask_for_a_pause_within_bounds(asked: float, delay: float) -> None:
    assert RefreshPolicy().retry_in(1, random=0, retry_after=asked) == delay


@given(st.floats(0, 10**6), st.floats(0, 1))
def test_a_pause_is_never_shorter_than_asked_for_nor_longer_than_five_minutes(
    asked: float, random: float
) -> None:
    delay = RefreshPolicy().retry_in(1, random=random, retry_after=asked)

    assert min(asked, 272) <= delay <= min(300.0001, 1.1 * max(asked, 1))


@pytest.mark.parametrize("asked", [10, 300, 10_000])
def test_replicas_that_were_asked_for_a_pause_do_not_come_back_in_step(asked: float) -> None:
    delays = {RefreshPolicy().retry_in(1, random=r, retry_after=asked) for r in (0, 0.5, 1)}

    assert len(delays) == 3


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "9" * 400}, 2**31),
        ({"Retry-After": later(90), "Date": DATE}, 90),
        ({"Retry-After": later(-90), "Date": DATE}, -90),
        ({"Retry-After": later(90)}, None),
    ],
    ids=str,
)
def test_a_pause_is_read_in_seconds_or_as_a_date(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert parse_retry_after(headers) == seconds


@pytest.mark.parametrize(
    "settings",
    [
        {"refresh_interval": "0.5s"},
        {"min_refresh_interval": 0},
        {"unknown_key_cooldown": 0},
        {"max_stale": "25h"},
        {"timeout": 0},
        {"min_refresh_interval": "10m", "max_refresh_interval": "5m"},
    ],
    ids=str,
)
def test_a_senseless_policy_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RefreshPolicy.model_validate(settings)


def test_keys_may_be_used_for_a_day_past_their_life_or_not_at_all() -> None:
    assert RefreshPolicy.model_validate({"max_stale": "24h"}).max_stale == 86400
    assert RefreshPolicy.model_validate({"max_stale": 0}).max_stale == 0
