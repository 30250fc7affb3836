"""The findings as docs/performance.md shows them."""

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from bench.contestants import ALL, KEYTURN, PEER_ENV
from bench.findings import GOALS, Findings, NotMeasuredError
from bench.processes import ROOT
from bench.throughput import NEW, ONE, THOUSAND

PAGE = ROOT / "docs/performance.md"
PLOT = ROOT / "docs/performance"
BEGIN, END = "<!-- from here on written by make bench -->", "<!-- to here -->"


def write(results: Path) -> None:
    """Write the findings in the file *results* into the page, and draw them if that can be."""
    found = json.loads(results.read_bytes())
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), render(found)), encoding="utf-8")
    python = PEER_ENV / "bin/python"
    if not python.exists():
        print("No plot: matplotlib is missing: make bench-deps")
        return
    subprocess.run([python, "-m", "bench.plot", str(results), str(PLOT)], cwd=ROOT, check=True)


def replaced(page: str, text: str, *, between: tuple[str, str] = (BEGIN, END)) -> str:
    """
    Put *text* where the page is ours.

    Raises:
        ValueError: the page says nowhere that it is.
    """
    begin, end = between
    head, begun, rest = page.partition(begin)
    _, ended, tail = rest.partition(end)
    if not (begun and ended):
        raise ValueError("the page has no place for the findings")
    return f"{head}{begin}\n\n{text.strip()}\n\n{end}{tail}"


def render(results: Mapping[str, Any]) -> str:
    """Give all findings as Markdown; what was not measured is left out, or named as such."""
    found = Findings(results)
    parts = (_circumstances, _goals, _throughput, _costs, _micro, _memory, _rotation, _skipped)
    return "\n".join(line for part in parts for line in _or_nothing(part(found)))


def _or_nothing(lines: Iterator[str]) -> list[str]:
    try:
        return [*lines, ""]
    except NotMeasuredError:
        return []


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Give the lines of a table: words to the left, figures to the right."""
    columns = list(head)
    yield f"| {' | '.join(columns)} |"
    yield f"| --- |{' ---: |' * (len(columns) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _circumstances(found: Findings) -> Iterator[str]:
    where = found.section("machine")
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items())
    minutes, seconds = divmod(found.section("seconds"), 60)
    apart = "server and load on cores of their own"
    yield f"`{found.section('command')}`, {where['date']}, {minutes} min {seconds} s."
    yield f"{where['cpu']}, {where['cores']} cores, {where['system']};"
    yield f"{apart if found.section('apart') else f'NOT {apart}: the ratios are worth less'}."
    yield f"{where['python']} {where['build']}; {versions}; wrk {where['wrk']}."


def _goals(found: Findings) -> Iterator[str]:
    yield "### Ratios"
    yield ""
    rows = []
    for goal in GOALS:
        try:
            value = goal.figure(found)
        except NotMeasuredError:
            rows.append((goal.what, goal.promise, "not measured", ""))
            continue
        rows.append(
            (
                goal.what,
                goal.promise,
                f"**{figure(value)}{goal.unit}**",
                "yes" if goal.is_met_by(value) else "no",
            )
        )
    if all(row[2] == "not measured" for row in rows):
        raise NotMeasuredError
    yield from table(("", "goal", "found", "met"), rows)


def figure(value: float) -> str:
    """Write a figure as exactly as it is known."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def _throughput(found: Findings) -> Iterator[str]:
    found.section("throughput", KEYTURN.name)
    yield "### Requests a second, and how long they take"
    yield ""
    yield "Of this machine on this day: **only ratios travel**. Medians; 64 connections;"
    yield "latencies and memory with one token."
    yield ""
    rows = []
    for each in ALL:
        try:
            one = [found.middle(each.name, ONE, name) for name in ("rate", "p50_ms", "p99_ms")]
        except NotMeasuredError:
            continue
        cells = [f"{one[0]:,.0f}", *(_rate(found, each.name, case) for case in (THOUSAND, NEW))]
        cells += [f"{value:.1f} ms" for value in one[1:]]
        memory = found.middle(each.name, ONE, "rss") / 1e6
        rows.append((each.name, *cells, f"{memory:.0f} MB"))
    yield from table(("", ONE, THOUSAND, NEW, "p50", "p99", "memory"), rows)
    yield ""
    yield from _proof(found)


def _proof(found: Findings) -> Iterator[str]:
    """Tell by the log that all was logged, and that what should be new was."""
    runs = found.section("throughput", KEYTURN.name)
    asked = sum(run["requests"] for rounds in runs.values() for run in rounds)
    lines = sum(run["log_lines"] for rounds in runs.values() for run in rounds)
    hits = sum(run["log_hits"] for run in runs.get(NEW, ()))
    yield f"Keyturn wrote {lines:,} log lines for {asked:,} answers that wrk counted; of the"
    yield f"new tokens it found {hits:,} in its cache."


def _rate(found: Findings, name: str, case: str) -> str:
    try:
        return f"{found.rate(name, case):,.0f}"
    except NotMeasuredError:
        return ""


def _costs(found: Findings) -> Iterator[str]:
    costs = {part: median(each) for part, each in found.section("costs").items()}
    yield "### What each part of a request costs"
    yield ""
    yield "The server's CPU time for a request, the kernel's included; parts added one at a time."
    yield ""
    steps = [0.0, *costs.values()]
    rows = (
        (part if not before else f"+ {part}", f"{after:.1f} µs", f"{after - before:+.1f} µs")
        for part, (before, after) in zip(costs, pairwise(steps), strict=True)
    )
    yield from table(("", "together", "this part"), rows)


def _micro(found: Findings) -> Iterator[str]:
    micro = found.section("micro")
    yield "### Single steps, in process"
    yield ""
    yield "The best of many rounds; noise only ever adds."
    yield ""
    yield from table(("", "µs"), ((name, f"{value:.1f}") for name, value in micro.items()))


def _memory(found: Findings) -> Iterator[str]:
    memory = found.section("memory")
    counts = memory["counts"]
    rows = []
    if "each" in memory:
        what = f"each of {counts['each']:,} cached tokens, resident memory"
        rows.append((what, f"{memory['each']:.0f} bytes"))
    if "traced" in memory:
        what = f"each of {counts['traced']:,}, as Python counts (tracemalloc)"
        rows.append((what, f"{memory['traced']:.0f} bytes"))
    if "growth" in memory:
        grown, tenth = memory["growth"], counts["growth"] // 10
        what = (
            f"{grown['tokens']:,} distinct tokens, 10,000 cached: growth since the first {tenth:,}"
        )
        rows.append((what, f"{grown['bytes'] / 1e6:.1f} MB"))
    yield "### Memory"
    yield ""
    yield from table(("", "found"), rows)


def _rotation(found: Findings) -> Iterator[str]:
    turned, flood = found.section("rotation"), found.section("flood")
    yield "### When keys turn, and when somebody invents them"
    yield ""
    yield f"p99, at a steady {turned['rate']:,} requests a second; medians."
    yield ""
    beside = f"beside a flood of {flood['flood_rate']:,} invented keys a second"
    rows = (
        ("the second before a rotation", turned["before_ms"], turned["refused"]),
        ("the second of a rotation", turned["during_ms"], turned["refused"]),
        ("without a flood", flood["without_ms"], flood["refused"]),
        (beside, flood["beside_ms"], flood["refused"]),
    )
    yield from table(
        ("", "p99", "good tokens refused"),
        ((what, f"{median(each):.2f} ms", str(len(refused))) for what, each, refused in rows),
    )


def _skipped(found: Findings) -> Iterator[str]:
    skipped = found.section("skipped")
    if not skipped:
        raise NotMeasuredError
    yield "Not measured:"
    yield ""
    for name, why in skipped.items():
        yield f"* {name}: {why}"
