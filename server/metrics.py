"""
Numbers that are counted while requests run, and read when somebody asks.

They lie in memory that all workers share, each worker writing to a part of its own: whoever is
asked reads them all, and what a worker that has died had counted stays.
"""

import json
import mmap
import struct
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of a duration, in seconds."""

# The memory is set aside, and used only as far as there are series.
_DIRECTORY_SIZE = 2 << 20
_CELLS_SIZE = 6 << 20
_SPARE = len(LATENCIES) + 2  # cells, for what finds no room
_PART_SIZE = _DIRECTORY_SIZE + _CELLS_SIZE
_LENGTH = struct.Struct("=Q")


class Kind(Enum):
    """What becomes of a number: it counts up, goes up and down, or is spread over buckets."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """
    One metric, by the data model of Prometheus.

    Attributes:
        name: without the endings that a kind has by custom.
        help: for people.
        labels: the names of its labels.
    """

    name: str
    help: str
    kind: Kind
    labels: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Count the numbers of one series; a histogram's are its buckets, the last, and the sum."""
        return len(LATENCIES) + 2 if self.kind is Kind.HISTOGRAM else 1


class Cell:
    """One number, which one process writes."""

    __slots__ = ("_at", "_cells")

    def __init__(self, cells: "memoryview[float]", at: int) -> None:
        self._cells = cells
        self._at = at

    def add(self, amount: float = 1.0) -> None:
        """Count."""
        self._cells[self._at] += amount

    @property
    def value(self) -> float:
        """What it stands at."""
        return self._cells[self._at]

    @value.setter
    def value(self, value: float) -> None:
        self._cells[self._at] = value


class Spread:
    """The buckets of one series, which one process writes."""

    __slots__ = ("_at", "_cells", "_sum")

    def __init__(self, cells: "memoryview[float]", at: int) -> None:
        self._cells = cells
        self._at = at
        self._sum = at + len(LATENCIES) + 1

    def observe(self, value: float) -> None:
        """Count *value*, in the unit of the buckets."""
        cells = self._cells
        cells[self._at + bisect_left(LATENCIES, value)] += 1.0
        cells[self._sum] += value


class SharedMemory:
    """Room for the numbers of *workers* processes: made before they are forked."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._memory = memoryview(mmap.mmap(-1, workers * _PART_SIZE))

    def part(self, slot: int) -> "_Part":
        """Give the part of the worker in *slot*, counted from 0."""
        return _Part(self._memory[slot * _PART_SIZE : (slot + 1) * _PART_SIZE])


class _Part:
    """A directory that names the series, in the order of their numbers; and the numbers."""

    def __init__(self, memory: memoryview) -> None:
        self._directory = memory[:_DIRECTORY_SIZE]
        self.cells = memory[_DIRECTORY_SIZE:].cast("d")

    def series(self) -> Iterator[tuple[str, tuple[str, ...], int, int]]:
        """Give the name, the labels, the place and the size of each."""
        (length,) = _LENGTH.unpack_from(self._directory)
        lines = bytes(self._directory[_LENGTH.size : _LENGTH.size + length]).splitlines()
        at = 0
        for name, size, *labels in map(json.loads, lines):
            yield name, tuple(labels), at, size
            at += size

    def append(self, family: Family, labels: Sequence[str], *, at: int) -> bool:
        """Make room for one more series, if there is."""
        (length,) = _LENGTH.unpack_from(self._directory)
        line = json.dumps([family.name, family.size, *labels]).encode() + b"\n"
        begin = _LENGTH.size + length
        if begin + len(line) > _DIRECTORY_SIZE or at + family.size > len(self.cells) - _SPARE:
            return False
        self._directory[begin : begin + len(line)] = line
        # Last, so that a reader never sees half of a line.
        _LENGTH.pack_into(self._directory, 0, length + len(line))
        return True


class Metrics:
    """
    The numbers of one worker, and the sums over all.

    Args:
        memory: shared with the other workers.
        slot: which of them this one is; it goes on where one that died had stopped.
    """

    def __init__(self, memory: SharedMemory | None = None, *, slot: int = 0) -> None:
        self._memory = memory or SharedMemory()
        self._part = self._memory.part(slot)
        self._families: dict[str, Family] = {}
        self._places: dict[tuple[str, tuple[str, ...]], int] = {}
        self._end = 0
        for name, labels, at, size in self._part.series():
            self._places[name, labels] = at
            self._end = at + size

    def declare(self, *families: Family) -> None:
        """Have *families* read from now on, also where others alone have counted."""
        self._families.update((each.name, each) for each in families)

    def counter(self, family: Family, *labels: str) -> Cell:
        """Give the number of the series of *family* with *labels*: keep it, and count with it."""
        return Cell(self._part.cells, self._place(family, labels))

    def gauge(self, family: Family, *labels: str) -> Cell:
        """Give the number of a series that nothing is left of when its process ends."""
        cell = self.counter(family, *labels)
        cell.value = 0.0
        return cell

    def histogram(self, family: Family, *labels: str) -> Spread:
        """Give the buckets of the series of *family* with *labels*: keep them."""
        return Spread(self._part.cells, self._place(family, labels))

    def read(self) -> Iterator[tuple[Family, Mapping[tuple[str, ...], list[float]]]]:
        """Give each family with the numbers of its series, summed over all workers."""
        sums: dict[str, dict[tuple[str, ...], list[float]]] = {name: {} for name in self._families}
        for slot in range(self._memory.workers):
            part = self._memory.part(slot)
            for name, labels, at, size in part.series():
                if name in sums:
                    numbers = sums[name].setdefault(labels, [0.0] * size)
                    for i, number in enumerate(part.cells[at : at + size]):
                        numbers[i] += number
        for name, family in self._families.items():
            yield family, sums[name]

    def _place(self, family: Family, labels: tuple[str, ...]) -> int:
        at = self._places.get((family.name, labels))
        if at is None:
            at = self._end
            if not self._part.append(family, labels, at=at):
                # Labels are bounded: it takes ten thousand routes.  What finds no room is counted
                # together, where nobody reads.
                return len(self._part.cells) - _SPARE
            self._places[family.name, labels] = at
            self._end += family.size
        return at
