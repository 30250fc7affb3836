"""The numbers as Prometheus reads them: its text format, version 0.0.4."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from server.metrics import LATENCIES, Family, Kind, Metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(metrics: Metrics, *, alone: bool) -> bytes:
    """
    Write the page of all *metrics*.

    Args:
        alone: there are no other workers, for whom the figures of this process would not speak.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(metrics))
    if alone:
        ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Numbers(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        for family, series in self._metrics.read():
            made = _make(family)
            for labels, numbers in series.items():
                _add(made, labels, numbers)
            yield made


def _make(family: Family) -> Metric:
    match family.kind:
        case Kind.COUNTER:
            return CounterMetricFamily(family.name, family.help, labels=family.labels)
        case Kind.GAUGE:
            return GaugeMetricFamily(family.name, family.help, labels=family.labels)
    return HistogramMetricFamily(family.name, family.help, labels=family.labels)


def _add(made: Metric, labels: Sequence[str], numbers: Sequence[float]) -> None:
    match made:
        case HistogramMetricFamily():
            *counts, total = numbers
            bounds = [*map(str, LATENCIES), "+Inf"]
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            made.add_metric(labels, buckets=buckets, sum_value=total)
        case CounterMetricFamily() | GaugeMetricFamily():
            made.add_metric(labels, numbers[0])
