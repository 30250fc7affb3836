"""What is counted of each request: OpenTelemetry's HTTP metrics, and what was decided."""

from aiohttp import web

from server.metrics import Family, Metrics
from server.shared_numbers import Cell, Kind, Spread
from server.web.exchange import Exchange
from server.web.routing import Served

DURATION = Family(
    "http_server_request_duration_seconds",
    "From the first middleware to the end of the answer.",
    Kind.HISTOGRAM,
    ("http_request_method", "http_route", "http_response_status_code"),
)
DECISIONS = Family(
    "keyturn_auth_decisions",
    "Requests by what was decided of them.",
    Kind.COUNTER,
    ("outcome", "reason", "issuer"),
)
REFUSED = Family(
    "keyturn_connections_refused",
    "Connections that were turned away because there were too many.",
    Kind.COUNTER,
)

OTHER_METHOD = "_OTHER"  # as OpenTelemetry's semantic conventions have it
METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}
)


class Measurement:
    """
    Counts requests in *metrics*.

    Each series is found by what identifies it, and its labels are made out once.

    Attributes:
        refused: counts connections that were turned away.
    """

    def __init__(self, metrics: Metrics) -> None:
        metrics.declare(DURATION, DECISIONS, REFUSED)
        self.metrics = metrics
        self.refused = metrics.counter(REFUSED)
        self._unmatched: dict[tuple[str, int], Spread] = {}
        self._decisions: dict[tuple[str, str, str], Cell] = {}

    def take(self, method: str, exchange: Exchange, status: int, seconds: float) -> None:
        """Count a request that was answered with *status* after *seconds*."""
        served = exchange.served
        if served is not None and (duration := served.durations.get(status)) is not None:
            duration.observe(seconds)
        else:
            self._make_duration(method, served, status).observe(seconds)
        issuer = reason = ""
        if exchange.error is not None:
            reason, evidence = exchange.error.reason.value, exchange.error.evidence
            issuer = (evidence and evidence.issuer) or ""
        elif exchange.access is not None:
            issuer = exchange.access.mandate.issuer
        decided = exchange.outcome, reason, issuer
        decision = self._decisions.get(decided)
        if decision is None:
            decision = self._decisions[decided] = self.metrics.counter(DECISIONS, *decided)
        decision.add()

    def _make_duration(self, method: str, served: Served | None, status: int) -> Spread:
        if served is not None:
            made = self.metrics.histogram(DURATION, served.method, served.template, str(status))
            served.durations[status] = made
            return made
        method = method if method in METHODS else OTHER_METHOD
        key = method, status
        if key not in self._unmatched:
            self._unmatched[key] = self.metrics.histogram(DURATION, method, "", str(status))
        return self._unmatched[key]


MEASUREMENT = web.AppKey("measurement", Measurement)
