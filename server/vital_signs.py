"""The numbers that tell an operator how the server itself is doing."""

from collections.abc import Iterable

from server import __version__, logs
from server.jwks.numbers import KeyGauges
from server.jwks.snapshot import Status
from server.metrics import Across, Family, Metrics
from server.shared_numbers import Kind

READY = Family("keyturn_ready", "1 when /readyz says so, else 0.", Kind.GAUGE)

_ACTIVE = Family("http_server_active_requests", "Requests that are being answered.", Kind.GAUGE)
_OPEN = Family("keyturn_connections", "Connections to the API that are open.", Kind.GAUGE)
_KEPT = Family("keyturn_token_cache_entries", "Verified tokens that are remembered.", Kind.GAUGE)
_DROPPED = Family("keyturn_log_lines_dropped", "Log lines that could not be written.", Kind.COUNTER)
_WORKERS = Family("keyturn_workers", "Processes that serve.", Kind.GAUGE)
_STARTS = Family("keyturn_worker_starts", "Processes that were begun to serve.", Kind.COUNTER)
_RELOADS = Family(
    "keyturn_config_reloads", "Configurations that were read anew.", Kind.COUNTER, ("result",)
)
_BUILD = Family(
    "keyturn_build_info", "Always 1, with the version.", Kind.GAUGE, ("version",), Across.MOST
)


class VitalSigns:
    """What *metrics* have of a process that serves: looked up now and then, or for a reader."""

    def __init__(self, metrics: Metrics) -> None:
        metrics.declare(_ACTIVE, _OPEN, _KEPT, _DROPPED, _WORKERS, _BUILD)
        self._active, self._kept = metrics.gauge(_ACTIVE), metrics.gauge(_KEPT)
        self._open = metrics.gauge(_OPEN)
        self._workers, self._build = metrics.gauge(_WORKERS), metrics.gauge(_BUILD, __version__)
        self._keys = KeyGauges(metrics)
        self._dropped = metrics.counter(_DROPPED)
        self._dropped_before = self._dropped.value - logs.lines_dropped()

    def write(self, *, active: int, connections: int, kept: int, keys: Iterable[Status]) -> None:
        """
        Write down what is not counted as it changes.

        Args:
            active: requests that are being answered.
            connections: that are open.
            kept: verified tokens that are remembered.
            keys: how it stands with those of each issuer.
        """
        self._active.value = active
        self._open.value = connections
        self._kept.value = kept
        self._workers.value = self._build.value = 1
        self._keys.write(keys)
        self._dropped.value = self._dropped_before + logs.lines_dropped()


class Changes:
    """What happens to a server as a whole, counted by whoever sees to it."""

    def __init__(self, metrics: Metrics) -> None:
        self.declare(metrics)
        self.starts = metrics.counter(_STARTS)
        self.applied = metrics.counter(_RELOADS, "applied")
        self.rejected = metrics.counter(_RELOADS, "rejected")

    @staticmethod
    def declare(metrics: Metrics) -> None:
        """Have *metrics* tell what another process counts."""
        metrics.declare(_STARTS, _RELOADS)
