"""Whether memory grows: a line through what was measured after the first two minutes."""

from collections.abc import Sequence
from dataclasses import dataclass

WARM_UP = 120.0  # seconds
_MIB = 1 << 20
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process held of memory, in bytes; *at* in seconds from the start."""

    at: float
    worker: int
    supervisor: int


@dataclass(frozen=True, slots=True)
class Trend:
    """
    A straight line.

    Attributes:
        slope: in MiB each hour.
        growth: in MiB, from the first sample after the warm-up to the last.
        first: in MiB.
    """

    slope: float
    growth: float
    first: float


def trend(samples: Sequence[tuple[float, int]]) -> Trend:
    """Give the line of least squares through (seconds, bytes)."""
    count = len(samples)
    if not count:
        return Trend(0, 0, 0)
    mean_at = sum(at for at, _ in samples) / count
    mean = sum(size for _, size in samples) / count
    spread = sum((at - mean_at) ** 2 for at, _ in samples)
    slope = sum((at - mean_at) * (size - mean) for at, size in samples) / spread if spread else 0
    growth = slope * (samples[-1][0] - samples[0][0])
    return Trend(slope * _HOUR / _MIB, growth / _MIB, samples[0][1] / _MIB)
