"""
Memory that several processes count in, each in a part of its own that it alone writes.

A part has a directory that names its series, and behind it their numbers.  What a process that has
died had counted stays, and whoever takes its slot goes on from there.
"""

import json
import math
import mmap
import struct
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of a duration, in seconds."""

# In bytes, for each process.  It is set aside, and used only as far as there are series.
_ROOM = 8 << 20
_SPARE = len(LATENCIES) + 2  # cells, for what finds no room
_LENGTH = struct.Struct("=Q")

NOTHING = math.nan
"""What a gauge is set to while there is nothing to tell."""


class Kind(Enum):
    """What becomes of a number: it counts up, goes up and down, or is spread over buckets."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


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
    """
    Room for the numbers of several *processes*: made before they are forked.

    Args:
        room: for those of each, in bytes.
    """

    def __init__(self, processes: int = 1, *, room: int = _ROOM) -> None:
        self.slots = range(processes)
        self._room = room
        self._memory = memoryview(mmap.mmap(-1, processes * room))

    def part(self, slot: int) -> "Part":
        """Give the part of the process in *slot*, counted from 0."""
        return Part(self._memory[slot * self._room : (slot + 1) * self._room])

    def clear_gauges(self, slot: int) -> None:
        """Have nothing stand that went up and down in a process that has ended."""
        part = self.part(slot)
        for each in part.series():
            if each.kind is Kind.GAUGE:
                part.cells[each.at] = NOTHING


@dataclass(frozen=True, slots=True)
class Series:
    """One metric with one set of labels, and where its numbers begin."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    at: int

    @property
    def size(self) -> int:
        """Count the numbers; of a histogram they are its buckets, the last, and the sum."""
        return len(LATENCIES) + 2 if self.kind is Kind.HISTOGRAM else 1


class Part:
    """
    A directory that names the series, in the order of their numbers; and the numbers.

    Attributes:
        cells: the numbers.
        spare: behind all series, a place for what finds no room.
    """

    def __init__(self, memory: memoryview) -> None:
        directory = len(memory) // 32 * 8  # a quarter
        self._directory = memory[:directory]
        self.cells = memory[directory:].cast("d")
        self.spare = len(self.cells) - _SPARE

    def series(self) -> Iterator[Series]:
        """Give what there is."""
        (length,) = _LENGTH.unpack_from(self._directory)
        lines = bytes(self._directory[_LENGTH.size : _LENGTH.size + length]).splitlines()
        at = 0
        for name, kind, *labels in map(json.loads, lines):
            series = Series(name, Kind(kind), tuple(labels), at)
            yield series
            at += series.size

    def append(self, series: Series) -> bool:
        """Make room for one more, behind the others, if there is."""
        (length,) = _LENGTH.unpack_from(self._directory)
        line = json.dumps([series.name, series.kind.value, *series.labels]).encode() + b"\n"
        begin = _LENGTH.size + length
        end = begin + len(line)
        if end > len(self._directory) or series.at + series.size > self.spare:
            return False
        self._directory[begin:end] = line
        # Last, so that a reader never sees half of a line.
        _LENGTH.pack_into(self._directory, 0, length + len(line))
        return True
