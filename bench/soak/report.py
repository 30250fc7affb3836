"""The findings as docs/operations.md shows them."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.page import replaced, table
from bench.processes import ROOT
from bench.soak.account import Finding
from bench.soak.memory import WARM_UP, Sample, Trend, trend

PAGE = ROOT / "docs/operations.md"
PLOT = ROOT / "docs/soak"
BEGIN, END = "<!-- from here on written by make soak -->", "<!-- to here -->"
_MOST_GROWTH = 3.0  # MiB, of what is noise


@dataclass(frozen=True, slots=True)
class Results:
    """
    One run.

    Attributes:
        done: the troubles, each with its moment in seconds from the start.
    """

    machine: str
    seconds: float
    findings: Sequence[Finding]
    cases: Mapping[str, Counter[str]]
    done: Sequence[tuple[float, str]]
    memory: Sequence[Sample]

    @property
    def worker(self) -> Trend:
        """How the memory of the worker that was left alone went."""
        return trend([(each.at, each.worker) for each in self._warm])

    @property
    def supervisor(self) -> Trend:
        """How the supervisor's did."""
        return trend([(each.at, each.supervisor) for each in self._warm])

    @property
    def _warm(self) -> list[Sample]:
        return [each for each in self.memory if each.at >= WARM_UP]

    @property
    def is_right(self) -> bool:
        """Tell whether every promise was kept."""
        flat = max(self.worker.growth, self.supervisor.growth) < _MOST_GROWTH
        return flat and all(each.is_right for each in self.findings)


def render(results: Results) -> str:
    """Give it as Markdown."""
    return "\n".join(_paragraphs(results))


def _paragraphs(results: Results) -> Iterator[str]:
    troubles = Counter(what for _, what in results.done)
    done = ", ".join(f"{what} {count} ×" for what, count in sorted(troubles.items()))
    yield f"`make soak`, {results.seconds / 60:.0f} minutes, {results.machine}. Done to it: {done}."
    yield ""
    rows = [
        (each.what, each.figures + ("" if each.is_right else " **not as it has to be**"))
        for each in results.findings
    ]
    for name, its in (("worker", results.worker), ("supervisor", results.supervisor)):
        figures = f"{its.growth:+.1f} MiB on {its.first:.0f} ({its.slope:+.1f} MiB an hour)"
        rows.append((f"memory of the {name} after two minutes", figures))
    yield from table(("", ""), rows)
    yield ""
    yield from table(
        ("sent", "answered"),
        (
            (case, ", ".join(f"{status}: {count:,}" for status, count in sorted(its.items())))
            for case, its in sorted(results.cases.items())
        ),
    )


def write(results: Results) -> None:
    """Write it into the page."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(replaced(page, render(results), between=(BEGIN, END)), encoding="utf-8")


def keep(results: Results, path: Path) -> None:
    """Write what is plotted."""
    kept = {
        "memory": [(each.at, each.worker, each.supervisor) for each in results.memory],
        "done": list(results.done),
        "slope": results.worker.slope,
    }
    path.write_text(json.dumps(kept), encoding="utf-8")
