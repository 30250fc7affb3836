import json

import pytest

from bench.soak.account import by_case, judge
from bench.soak.client import Record
from bench.soak.ledger import Evidence, Line, enter, read
from bench.soak.memory import trend
from bench.soak.server import Series
from bench.soak.tokens import AUDIENCE, OWN, Traffic, Wish
from server.oauth.errors import InvalidTokenError
from server.oauth.jwk_set import parse_jwks
from server.oauth.unverified_token import UnverifiedToken

GOOD = Wish("good", frozenset({200}))
KILLED = 77
KILL = 1000.0


def record(name: str, status: int | None = 200, *, worker: int = 1, at: float = 0.0) -> Record:
    return Record(name, GOOD, status, worker, at, at + 0.01)


def line(name: str, status: int = 200) -> Line:
    return {
        "event": "request",
        "request_id": name,
        "http.request.method": "GET",
        "http.route": "/api/private",
        "http.response.status_code": status,
        "auth.outcome": "granted",
        "auth.issuer": OWN,
    }


def counted(requests: int, *, dropped: int = 0) -> dict[Series, float]:
    duration = "http_server_request_duration_seconds_count"
    labels = {
        "http_request_method": "GET",
        "http_route": "/api/private",
        "http_response_status_code": "200",
    }
    decision = {"outcome": "granted", "reason": "", "issuer": OWN}
    return {
        (duration, tuple(sorted(labels.items()))): requests,
        ("keyturn_auth_decisions_total", tuple(sorted(decision.items()))): requests,
        ("keyturn_log_lines_dropped_total", ()): dropped,
        ("keyturn_config_reloads_total", (("result", "applied"),)): 0,
        ("keyturn_config_reloads_total", (("result", "rejected"),)): 0,
    }


def faults(records: list[Record], lines: list[Line], metrics: dict[Series, float]) -> list[str]:
    evidence = Evidence(records, lines, metrics, [(KILL, KILLED)])
    return [each.what for each in judge(evidence) if not each.is_right]


def test_where_all_agree_all_is_right() -> None:
    assert not faults([record("a"), record("b")], [line("a"), line("b")], counted(2))


def test_a_wrong_answer_is_seen() -> None:
    assert faults([record("a", 401)], [line("a", 401)], counted(0))[0] == "wrong answers"


@pytest.mark.parametrize(
    ("worker", "at", "is_fault"),
    [(KILLED, KILL - 0.005, False), (1, KILL, True), (KILLED, 5, True)],
)
def test_a_lost_request_is_the_killed_workers_or_a_fault(
    worker: int, at: float, *, is_fault: bool
) -> None:
    lost = [record("a", None, worker=worker, at=at)]

    assert ("requests lost" in faults(lost, [], counted(0))) == is_fault


def test_an_answer_without_a_line_was_dropped_or_is_a_fault() -> None:
    records, dropped = [record("a"), record("b")], {"event": "log.lines_dropped", "lines": 1}

    assert not faults(records, [line("a"), dropped], counted(2, dropped=1))
    assert "answers without" in faults(records, [line("a")], counted(2))


def test_what_was_unwritten_when_its_worker_was_killed_is_no_fault() -> None:
    records = [record("a"), record("b", worker=KILLED, at=KILL - 0.1)]

    assert not faults(records, [line("a")], counted(2))


def test_a_line_of_another_status_and_one_told_twice_are_seen() -> None:
    evidence = Evidence([record("a"), record("b")], [line("a", 401), line("b"), line("b")], {}, [])

    ledger = enter(evidence)

    assert (ledger.different, ledger.doubled) == (["a"], ["b"])


def test_what_was_not_counted_yet_when_its_worker_was_killed_is_no_fault() -> None:
    assert not faults([record("a"), record("b")], [line("a"), line("b")], counted(1))


def test_a_count_that_differs_is_seen() -> None:
    found = faults([record("a")], [line("a")], counted(2))

    assert found == [
        "requests by method, route and status",
        "decisions by outcome, reason and issuer",
    ]


def test_what_is_no_json_or_not_by_the_schema_is_seen() -> None:
    raw = [b'{"event": "a"}', b'{"event": 1}', b'{"event']

    lines, wrong = read(raw, {"properties": {"event": {"type": "string"}}})

    assert (len(lines), len(wrong)) == (2, 2)


def test_a_line_is_drawn_through_the_memory() -> None:
    found = trend([(at, (100 << 20) + (at << 10)) for at in range(0, 3600, 5)])

    assert found.slope == pytest.approx(3600 / 1024)
    assert found.first == 100
    assert trend([]).growth == 0


def test_its_own_tokens_say_what_they_are_to() -> None:
    traffic = Traffic()
    keys = parse_jwks(traffic.own.jwks)

    token = UnverifiedToken.parse(traffic.own.sign(jti="one"))

    assert token.issuer == OWN
    assert keys.candidates(key_id="own", algorithm="RS256")
    payload = json.loads(token.jws.payload)
    assert (payload["aud"], payload["jti"]) == (AUDIENCE, "one")
    with pytest.raises(InvalidTokenError):
        UnverifiedToken.parse("rubbish")


def test_answers_are_counted_by_case() -> None:
    assert by_case([record("a"), record("b"), record("c", None)]) == {"good": {"200": 2, "lost": 1}}
