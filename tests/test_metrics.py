import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from server.metrics import LATENCIES, Family, Kind, Metrics, SharedMemory
from server.web.metrics_page import render

SEEN = Family("seen", "What was seen.", Kind.COUNTER, ("name",))
OPEN = Family("open", "What is open.", Kind.GAUGE)
TOOK = Family("took_seconds", "How long it took.", Kind.HISTOGRAM, ("name",))


def page(metrics: Metrics) -> dict[tuple[str, str], float]:
    text = render(metrics, alone=False).decode()
    return {
        (sample.name, json.dumps(sample.labels, sort_keys=True)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def metrics(memory: SharedMemory | None = None, slot: int = 0) -> Metrics:
    made = Metrics(memory, slot=slot)
    made.declare(SEEN, OPEN, TOOK)
    return made


def test_what_all_workers_count_is_read_from_any() -> None:
    memory = SharedMemory(3)
    workers = [metrics(memory, slot) for slot in range(3)]
    workers[0].counter(SEEN, "a").add()
    workers[1].counter(SEEN, "b").add(2)
    workers[2].counter(SEEN, "a").add(4)
    workers[2].gauge(OPEN).value = 5

    for worker in workers:
        found = page(worker)

        assert found["seen_total", '{"name": "a"}'] == 5
        assert found["seen_total", '{"name": "b"}'] == 2
        assert found["open", "{}"] == 5


def test_a_successor_goes_on_counting_and_has_nothing_open() -> None:
    memory = SharedMemory(2)
    first = metrics(memory, 1)
    first.counter(SEEN, "a").add(3)
    first.histogram(TOOK, "a").observe(0.2)
    first.gauge(OPEN).value = 7

    second = metrics(memory, 1)
    second.gauge(OPEN)
    second.counter(SEEN, "b").add()
    second.counter(SEEN, "a").add()
    second.histogram(TOOK, "a").observe(0.3)

    found = page(metrics(memory, 0))
    assert found["seen_total", '{"name": "a"}'] == 4
    assert found["seen_total", '{"name": "b"}'] == 1
    assert found["took_seconds_count", '{"name": "a"}'] == 2
    assert found["open", "{}"] == 0


@given(st.lists(st.floats(0, 20)))
def test_buckets_hold_what_is_not_above_their_bound(values: list[float]) -> None:
    counted = metrics()
    spread = counted.histogram(TOOK, "a")

    for value in values:
        spread.observe(value)

    found = page(counted)
    for bound in LATENCIES:
        bucket = found["took_seconds_bucket", json.dumps({"le": str(bound), "name": "a"})]
        assert bucket == sum(value <= bound for value in values)
    assert found["took_seconds_bucket", '{"le": "+Inf", "name": "a"}'] == len(values)
    assert found["took_seconds_sum", '{"name": "a"}'] == pytest.approx(sum(values))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_any_label_is_read_as_it_was(label: str) -> None:
    counted = metrics()

    counted.counter(SEEN, label).add()

    (samples,) = (each for family, each in counted.read() if family is SEEN)
    assert list(samples) == [(label,)]
    assert b"seen_total" in render(counted, alone=False)


def test_what_finds_no_room_harms_no_other() -> None:
    counted = metrics()
    spreads = [counted.histogram(TOOK, str(number)) for number in range(60_000)]

    spreads[-1].observe(1.0)

    series = next(each for family, each in counted.read() if family is TOOK)
    assert 10_000 < len(series) < len(spreads)
    assert not any(any(numbers) for numbers in series.values())


def test_the_page_of_one_process_tells_of_it() -> None:
    assert b"process_resident_memory_bytes" in render(metrics(), alone=True)
    assert b"process_" not in render(metrics(), alone=False)
