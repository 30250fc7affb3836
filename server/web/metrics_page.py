"""The numbers as Prometheus reads them: its text format, version 0.0.4."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from server.metrics import Family, Metrics
from server.shared_numbers import LATENCIES, Kind

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(
    metrics: Metrics,
    *,
    now: Mapping[Family, float] | None = None,
    workers: Mapping[str, int] | None = None,
) -> bytes:
    """
    Write the page of all *metrics*.

    Args:
        now: numbers that are known as it is written.
        workers: the process ID of each, and of who keeps them; none where there is one process.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(metrics, now or {}))
    if workers is None:
        ProcessCollector(registry=registry)
    else:
        registry.register(_Processes(workers))
    return generate_latest(registry)


class _Numbers(Collector):
    def __init__(self, metrics: Metrics, now: Mapping[Family, float]) -> None:
        self._metrics = metrics
        self._now = now

    def collect(self) -> Iterable[Metric]:
        for family, number in self._now.items():
            made = _make(family)
            _add(made, (), [number])
            yield made
        for family, series in self._metrics.read():
            made = _make(family)
            for labels, numbers in series.items():
                _add(made, labels, numbers)
            yield made


class _Processes(Collector):
    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids

    def collect(self) -> Iterable[Metric]:
        joined: dict[str, Metric] = {}
        for name, pid in self._pids.items():
            for made in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                family = joined.setdefault(
                    made.name, Metric(made.name, made.documentation, made.type)
                )
                for sample in made.samples:
                    family.add_sample(sample.name, {"worker": name}, sample.value)
        return joined.values()


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
