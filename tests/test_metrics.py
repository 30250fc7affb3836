import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from server.metrics import Across, Family, Metrics
from server.shared_numbers import LATENCIES, NOTHING, Kind, SharedMemory
from server.web.metrics_page import render

SEEN = Family("seen", "What was seen.", Kind.COUNTER, ("name",))
OPEN = Family("open", "What is open.", Kind.GAUGE)
OLDEST = Family("oldest", "How old the oldest is.", Kind.GAUGE, across=Across.MOST)
LEFT = Family("left", "What is left of the one that has least.", Kind.GAUGE, across=Across.LEAST)
TOOK = Family("took_seconds", "How long it took.", Kind.HISTOGRAM, ("name",))


def page(metrics: Metrics) -> dict[tuple[str, str], float]:
    text = render(metrics, workers={}).decode()
    return {
        (sample.name, json.dumps(sample.labels, sort_keys=True)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def metrics(memory: SharedMemory | None = None, slot: int = 0) -> Metrics:
    made = Metrics(memory, slot=slot)
    made.declare(SEEN, OPEN, TOOK, OLDEST, LEFT)
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
    assert ("open", "{}") not in found


def test_of_what_workers_have_alike_the_worst_is_told() -> None:
    memory = SharedMemory(3)
    workers = [metrics(memory, slot) for slot in range(3)]
    for worker, value in zip(workers, (3, 1, NOTHING), strict=True):
        worker.gauge(OLDEST).value = worker.gauge(LEFT).value = value

    found = page(workers[0])

    assert (found["oldest", "{}"], found["left", "{}"]) == (3, 1)


def test_nothing_that_went_up_and_down_is_left_of_one_that_has_ended() -> None:
    memory = SharedMemory(2)
    dead, alive = metrics(memory, 0), metrics(memory, 1)
    for each in (dead, alive):
        each.gauge(OPEN).value = each.gauge(OLDEST).value = 4
        each.counter(SEEN, "a").add()

    memory.clear_gauges(0)

    found = page(alive)
    assert (found["open", "{}"], found["oldest", "{}"]) == (4, 4)
    assert found["seen_total", '{"name": "a"}'] == 2
    memory.clear_gauges(1)
    assert ("open", "{}") not in page(alive)


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
    assert b"seen_total" in render(counted, workers={})


def test_what_finds_no_room_harms_no_other() -> None:
    counted = metrics(SharedMemory(room=64 * 1024))
    spreads = [counted.histogram(TOOK, str(number)) for number in range(500)]

    spreads[-1].observe(1.0)

    series = next(each for family, each in counted.read() if family is TOOK)
    assert 100 < len(series) < len(spreads)
    assert not any(any(numbers) for numbers in series.values())


def test_the_page_of_one_process_tells_of_it() -> None:
    assert b"process_resident_memory_bytes " in render(metrics())


def test_the_page_of_several_tells_of_each() -> None:
    text = render(metrics(), workers={"0": os.getpid(), "supervisor": os.getppid()}).decode()

    samples = [
        each
        for family in text_string_to_metric_families(text)
        for each in family.samples
        if each.name == "process_cpu_seconds_total"
    ]
    assert {each.labels["worker"] for each in samples} == {"0", "supervisor"}
    assert text.count("# TYPE process_cpu_seconds_total counter") == 1


def test_a_worker_that_has_just_died_is_left_out() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()

    assert b"process_cpu" not in render(metrics(), workers={"0": process.pid})
