"""Numbers that are counted while requests run, and read when somebody asks, for all processes."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from server.shared_numbers import NOTHING, Cell, Kind, Series, SharedMemory, Spread


class Across(Enum):
    """What is told of several workers: the sum, or of what all have alike the worst."""

    SUM = "sum"
    MOST = "most"
    LEAST = "least"

    def join(self, one: float, other: float) -> float:
        """Make one number of two."""
        match self:
            case Across.SUM:
                return one + other
            case Across.MOST:
                return max(one, other)
            case Across.LEAST:
                return min(one, other)


@dataclass(frozen=True, slots=True)
class Family:
    """
    One metric, by the data model of Prometheus.

    Attributes:
        name: without the endings that a kind has by custom.
        help: for people.
        labels: the names of its labels.
        across: how those of several workers are joined; of gauges alone.
    """

    name: str
    help: str
    kind: Kind
    labels: tuple[str, ...] = ()
    across: Across = Across.SUM


class Metrics:
    """
    The numbers of one process, and those of all.

    Args:
        memory: shared with the others.
        slot: which of them this one is; it goes on where one that died had stopped.
    """

    def __init__(self, memory: SharedMemory | None = None, *, slot: int = 0) -> None:
        self._memory = memory or SharedMemory()
        self._part = self._memory.part(slot)
        self._families: dict[str, Family] = {}
        self._places: dict[tuple[str, tuple[str, ...]], int] = {}
        self._end = 0
        for each in self._part.series():
            self._places[each.name, each.labels] = each.at
            self._end = each.at + each.size

    def declare(self, *families: Family) -> None:
        """Have *families* read from now on, also where others alone have counted."""
        self._families.update((each.name, each) for each in families)

    def counter(self, family: Family, *labels: str) -> Cell:
        """Give the number of the series of *family* with *labels*: keep it, and count with it."""
        return Cell(self._part.cells, self._place(family, labels))

    def gauge(self, family: Family, *labels: str) -> Cell:
        """Give the number of a series that nothing is left of when its process ends."""
        cell = self.counter(family, *labels)
        cell.value = NOTHING
        return cell

    def histogram(self, family: Family, *labels: str) -> Spread:
        """Give the buckets of the series of *family* with *labels*: keep them."""
        return Spread(self._part.cells, self._place(family, labels))

    def read(self) -> Iterator[tuple[Family, Mapping[tuple[str, ...], list[float]]]]:
        """Give each family with the numbers of its series, joined over all processes."""
        found: dict[str, dict[tuple[str, ...], list[float]]] = {name: {} for name in self._families}
        for part in map(self._memory.part, self._memory.slots):
            for each in part.series():
                if each.name not in found:
                    continue
                numbers = list(part.cells[each.at : each.at + each.size])
                if not math.isnan(numbers[0]):
                    series, across = found[each.name], self._families[each.name].across
                    others = series.get(each.labels)
                    series[each.labels] = (
                        list(map(across.join, others, numbers)) if others else numbers
                    )
        for name, family in self._families.items():
            yield family, found[name]

    def _place(self, family: Family, labels: tuple[str, ...]) -> int:
        at = self._places.get((family.name, labels))
        if at is None:
            series = Series(family.name, family.kind, labels, self._end)
            if not self._part.append(series):
                # Labels are bounded: it takes ten thousand routes.  What finds no room is counted
                # together, where nobody reads.
                return self._part.spare
            at = self._places[family.name, labels] = series.at
            self._end += series.size
        return at
