from tests.deploy.exposed import exposed, named, wrong_labels


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
