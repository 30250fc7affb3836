import re

from tests.deploy.exposed import exposed, named, wrong_labels
from tests.processes import ROOT


def test_what_the_server_counts_is_found_in_its_sources() -> None:
    found = exposed()

    assert found["keyturn_auth_decisions_total"] == {"outcome", "reason", "issuer"}
    assert "le" in found["http_server_request_duration_seconds_bucket"]
    assert "http_server_active_requests" in found
    assert "process_start_time_seconds" in found


def test_an_expression_is_read_for_its_series_and_their_labels() -> None:
    expression = 'sum by (http_route) (rate(keyturn_a_total{b="c"}[5m])) / job:keyturn_b:rate5m'

    assert named(expression) == {"keyturn_a_total", "job:keyturn_b:rate5m"}
    assert wrong_labels(expression, {"keyturn_a_total": {"b"}}) == []
    assert wrong_labels(expression, {"keyturn_a_total": {"d"}}) == ["keyturn_a_total{b}"]


def test_the_table_of_the_page_on_answers_has_them_all_and_no_others() -> None:
    page = (ROOT / "docs/answers.md").read_text("utf-8")
    table = page.partition("| metric | counts |")[2]
    told = {
        name
        for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }

    parts = re.compile(r"_(?:bucket|count|sum)$")
    assert told == {parts.sub("", each) for each in exposed() if not each.startswith("process_")}
