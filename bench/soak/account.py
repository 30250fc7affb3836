"""What clients, metrics and log say of it, held against each other."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.soak.client import Record
from bench.soak.ledger import Evidence, Ledger, Line, enter
from bench.soak.server import Series

# In seconds.  What a worker had not written when it was killed, and until its clients know.
_UNWRITTEN = 0.3
_NOTICED = 3.0

Key = tuple[str, ...]

_DURATIONS = "http_server_request_duration_seconds_count"
_DURATION_LABELS = ("http_request_method", "http_route", "http_response_status_code")
_DECISIONS = "keyturn_auth_decisions_total"
_DECISION_LABELS = ("outcome", "reason", "issuer")


@dataclass
class Finding:
    """
    Attributes:
        what: was looked at.
        figures: what was found.
        is_right: as it has to be.
    """

    what: str
    figures: str
    is_right: bool = True


def judge(evidence: Evidence) -> list[Finding]:
    """Say of each promise whether it was kept."""
    ledger = enter(evidence)
    return [
        *_answers(evidence, ledger),
        *_lines(evidence, ledger),
        *_counts(evidence, ledger),
        *_others(evidence),
    ]


def _answers(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    records = evidence.records
    wrong = [each for each in records if each.is_wrong]
    lost = [each for each in records if each.status is None]
    elsewhere = [each for each in lost if not _is_of_the_killed(each, evidence.kills)]
    yield Finding("requests", f"{len(records):,}")
    told = Counter(
        f"{each.wish.case}: {each.status} {ledger.lines.get(each.name, {}).get('auth.reason', '')}"
        for each in wrong
    )
    yield Finding("wrong answers", f"{len(wrong)} {dict(told) or ''}".strip(), not wrong)
    yield Finding(
        "requests lost",
        f"{len(lost)}, of them on connections to a worker that was killed "
        f"{len(lost) - len(elsewhere)}, elsewhere {len(elsewhere)}",
        not elsewhere,
    )


def _is_of_the_killed(record: Record, kills: Iterable[tuple[float, int]]) -> bool:
    return any(
        record.worker in {0, pid} and record.began <= at + _NOTICED and record.ended >= at
        for at, pid in kills
    )


def _lines(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    answered = sum(each.status is not None for each in evidence.records)
    killed = [each for each in ledger.missing if _was_unwritten(each, evidence.kills)]
    dropped = int(evidence.metrics["keyturn_log_lines_dropped_total", ()])
    told = sum(each["lines"] for each in evidence.lines if each["event"] == "log.lines_dropped")
    unexplained = max(0, len(ledger.missing) - len(killed) - dropped)
    yield Finding("answers with their one line in the log", f"{answered - len(ledger.missing):,}")
    yield Finding(
        "answers without",
        f"{len(ledger.missing):,}: unwritten when their worker was killed {len(killed)}, "
        f"dropped while nobody read {len(ledger.missing) - len(killed) - unexplained:,}, "
        f"unexplained {unexplained}",
        not unexplained,
    )
    yield Finding(
        "dropped lines of any kind",
        f"{dropped:,} by the metric, {told:,} by the log",
        dropped == told,
    )
    strange = len(ledger.doubled) + len(ledger.different)
    yield Finding("lines told twice, or of another status", str(strange), not strange)


def _was_unwritten(record: Record, kills: Iterable[tuple[float, int]]) -> bool:
    return any(record.worker == pid and 0 <= at - record.ended < _UNWRITTEN for at, pid in kills)


def _counts(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    lost = sum(1 for each in evidence.records if each.status is None)
    for what, name, labels, key in (
        ("requests by method, route and status", _DURATIONS, _DURATION_LABELS, _request_key),
        ("decisions by outcome, reason and issuer", _DECISIONS, _DECISION_LABELS, _decision_key),
    ):
        counted = _of(evidence.metrics, name, labels)
        logged = Counter(key(each) for each in evidence.lines if each["event"] == "request")
        unlogged = _of_missing(evidence.records, ledger, key)
        differences = {
            each: counted[each] - logged[each] - unlogged[each]
            for each in {*counted, *logged, *unlogged}
        }
        # What a client lost may have been answered and counted, and its line not written; what was
        # answered may not have been counted yet when the worker was killed.
        least = -len(evidence.kills)
        wrong = {each: by for each, by in differences.items() if not least <= by <= lost}
        beyond = sum(differences.values())
        yield Finding(
            what,
            f"{sum(counted.values()):,} in {len(counted)} series; in lines and by clients the "
            f"same, but for {beyond:+} where a worker was killed"
            + (f"; differ: {wrong}" if wrong else ""),
            not wrong and least <= beyond <= lost,
        )


def _of(metrics: Mapping[Series, float], name: str, labels: Key) -> Counter[Key]:
    found: Counter[Key] = Counter()
    for (series, its), value in metrics.items():
        if series == name and value:
            members = dict(its)
            found[tuple(members[each] for each in labels)] = int(value)
    return found


def _request_key(line: Line) -> Key:
    method = line.get("http.request.method", "_OTHER")
    return method, line.get("http.route", ""), str(line["http.response.status_code"])


def _decision_key(line: Line) -> Key:
    reason, outcome = line.get("auth.reason", ""), line["auth.outcome"]
    return outcome, reason, line.get("auth.issuer", "")


def _of_missing(records: Iterable[Record], ledger: Ledger, key: Any) -> Counter[Key]:
    """Count the answers without a line as others of their kind were counted."""
    kinds: dict[tuple[Any, ...], Key] = {}
    for each in records:
        if each.name in ledger.lines:
            kinds[_kind(each)] = key(ledger.lines[each.name])
    return Counter(kinds.get(_kind(each), ("unknown",)) for each in ledger.missing)


def _kind(record: Record) -> tuple[Any, ...]:
    wish = record.wish
    return wish.case, wish.method, wish.path, record.status


def _others(evidence: Evidence) -> Iterable[Finding]:
    events = Counter(each["event"] for each in evidence.lines)
    dropped = int(evidence.metrics["keyturn_log_lines_dropped_total", ()])
    for result, event in (("applied", "config.reloaded"), ("rejected", "config.rejected")):
        counted = int(evidence.metrics["keyturn_config_reloads_total", (("result", result),)])
        yield Finding(
            f"reloads {result}",
            f"{counted} counted, {events[event]} told",
            counted == events[event],
        )
    fetches: Counter[str] = Counter()
    for (name, labels), value in evidence.metrics.items():
        if name == "keyturn_jwks_fetches_total":
            fetches[dict(labels)["result"]] += int(value)
    told = sum(
        1
        for each in evidence.lines
        if each["event"] == "jwks.refreshed" and each["trigger"] != "store"
    )
    succeeded = fetches["ok"] + fetches["not_modified"]
    yield Finding(
        "fetches of keys",
        f"{succeeded} succeeded and {fetches['failed']} failed; {told} told",
        0 <= succeeded - told <= dropped + len(evidence.kills),
    )
    yield Finding(
        "errors of ours (server.error)", str(events["server.error"]), not events["server.error"]
    )


def by_case(records: Iterable[Record]) -> dict[str, Counter[str]]:
    """Count what was answered to each case."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for each in records:
        found[each.wish.case][str(each.status or "lost")] += 1
    return dict(found)
