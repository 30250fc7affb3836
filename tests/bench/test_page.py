import pytest

from bench.contestants import BARE, EXPRESS, KEYTURN
from bench.page import BEGIN, END, PAGE, render, replaced
from bench.throughput import ONE

FIGURES = {
    "rate": 8000.0,
    "p50_ms": 7.0,
    "p99_ms": 14.0,
    "rss": 50e6,
    "requests": 24_000,
    "log_lines": 24_000,
    "log_hits": 0,
}
MACHINE = {
    "date": "2030-01-02",
    "cpu": "A CPU",
    "cores": 2,
    "system": "Linux",
    "python": "CPython 3.11.7",
    "build": "without PGO, without LTO",
    "versions": {"aiohttp": "3.14.5"},
    "wrk": "4.1",
}
RUN = {"machine": MACHINE, "command": "make bench", "seconds": 65, "apart": True, "skipped": {}}


def test_what_was_written_by_hand_stays() -> None:
    page = f"# By hand\n\n{BEGIN}\nold\n{END}\nlast words\n"

    assert replaced(page, "new\n") == f"# By hand\n\n{BEGIN}\n\nnew\n\n{END}\nlast words\n"


def test_a_page_without_a_place_for_them_is_left_alone() -> None:
    with pytest.raises(ValueError, match="no place"):
        replaced("# By hand\n", "new")


def test_the_page_that_we_have_has_a_place_for_them() -> None:
    assert "new" in replaced(PAGE.read_text(encoding="utf-8"), "new")


def test_a_run_says_where_it_was_made() -> None:
    lines = render(RUN)

    for each in ("make bench", "2030-01-02", "A CPU", "3.11.7 without PGO", "aiohttp 3.14.5"):
        assert each in lines
    assert "1 min 5 s" in lines


def test_what_was_not_measured_is_named_and_has_no_table() -> None:
    page = render({**RUN, "skipped": {"Express": "it is not installed"}})

    assert "* Express: it is not installed" in page
    assert "###" not in page


def test_a_goal_is_shown_with_what_was_found() -> None:
    found = {KEYTURN.name: {ONE: [FIGURES]}, BARE.name: {ONE: [{**FIGURES, "rate": 10_000.0}]}}

    page = render({**RUN, "throughput": found})

    assert "| all on, one token ÷ bare aiohttp | ≥ 0.85 | **0.80** | no |" in page
    assert f"| {KEYTURN.name} | 8,000 |  |  | 7.0 ms | 14.0 ms | 50 MB |" in page
    assert f"| {EXPRESS.name}" not in page


def test_a_cost_is_the_difference_to_the_part_before() -> None:
    page = render({**RUN, "costs": {"bare": [50.0, 49.0, 51.0], "log": [58.0]}})

    assert "| bare | 50.0 µs | +50.0 µs |" in page
    assert "| + log | 58.0 µs | +8.0 µs |" in page
