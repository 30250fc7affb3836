"""What the raw findings of a run say: medians, ratios, and the goals that they are held against."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.contestants import BARE, EXPRESS, FASTAPI, FASTIFY_FAST, FASTIFY_PINO, KEYTURN
from bench.throughput import FEW_CLIENTS, NEW, ONE, SIGNATURE, THOUSAND, TWO_WORKERS

_MEGABYTE = 1_000_000


class NotMeasuredError(Exception):
    """A figure is not there."""


class Findings:
    """The findings of one run; any of them may be missing."""

    def __init__(self, results: Mapping[str, Any]) -> None:
        self.results = results

    def section(self, *path: str) -> Any:
        """
        Give what was found under *path*.

        Raises:
            NotMeasuredError: nothing was.
        """
        found: Any = self.results
        for name in path:
            if not isinstance(found, Mapping) or name not in found:
                raise NotMeasuredError(path)
            found = found[name]
        return found

    def middle(self, name: str, case: str, figure: str) -> float:
        """Give the median over the rounds of one figure of one server."""
        rounds: Sequence[Mapping[str, float]] = self.section("throughput", name, case)
        return float(median(each[figure] for each in rounds))

    def rate(self, name: str, case: str) -> float:
        """Give how many requests a server answers in a second."""
        return self.middle(name, case, "rate")

    def limit(self) -> float:
        """Give the rate if nothing cost anything but a bare answer and one signature."""
        signature = float(median(self.section("throughput", SIGNATURE))) / 1e6
        return 1 / (1 / self.rate(BARE.name, ONE) + signature)

    def paired(self, section: str, above: str, below: str) -> float:
        """Give the median of the ratios of figures that were taken side by side."""
        tops, bottoms = self.section(section, above), self.section(section, below)
        return float(median(top / bottom for top, bottom in zip(tops, bottoms, strict=True)))


@dataclass(frozen=True, slots=True)
class Goal:
    """
    One figure that was promised.

    Attributes:
        bound: the least that it may be; the most, if *at_most*.
        unit: what stands behind it; a ratio has none.
    """

    what: str
    bound: float
    figure: Callable[[Findings], float]
    at_most: bool = False
    unit: str = ""

    @property
    def promise(self) -> str:
        sign = "≤" if self.at_most else "≥"
        return f"{sign} {self.bound:g}{self.unit}"

    def is_met_by(self, value: float) -> bool:
        """Tell whether *value* is as good as was promised."""
        return value <= self.bound if self.at_most else value >= self.bound


def _against(name: str, case: str = ONE) -> Callable[[Findings], float]:
    return lambda found: found.rate(KEYTURN.name, case) / found.rate(name, case)


def _bytes_each(found: Findings) -> float:
    if found.section("memory", "counts", "each") < 100_000:
        raise NotMeasuredError
    return float(found.section("memory", "each"))


def _growth(found: Findings) -> float:
    if found.section("memory", "growth", "tokens") < 1_000_000:
        raise NotMeasuredError
    return float(found.section("memory", "growth", "bytes")) / _MEGABYTE


GOALS = (
    Goal("all on, one token ÷ bare aiohttp", 0.85, _against(BARE.name)),
    Goal(
        "1,000 tokens in turn ÷ one token",
        0.95,
        lambda found: found.rate(KEYTURN.name, THOUSAND) / found.rate(KEYTURN.name, ONE),
    ),
    Goal("one token ÷ Express + express-oauth2-jwt-bearer", 6, _against(EXPRESS.name)),
    Goal("one token ÷ FastAPI + PyJWT on uvicorn", 6, _against(FASTAPI.name)),
    Goal("one token ÷ Fastify + fast-jwt with its cache", 1.15, _against(FASTIFY_FAST.name)),
    Goal("one token ÷ the same with its logger (pino)", 1.6, _against(FASTIFY_PINO.name)),
    Goal("every token new ÷ Express", 2.5, _against(EXPRESS.name, NEW)),
    Goal(
        "every token new ÷ the limit, 1 / (1/bare + one signature)",
        0.6,
        lambda found: found.rate(KEYTURN.name, NEW) / found.limit(),
    ),
    Goal(
        "two workers ÷ one",
        1.65,
        lambda found: found.rate(TWO_WORKERS, ONE) / found.rate(KEYTURN.name, ONE),
    ),
    Goal(
        "p99 ÷ p50 at 8 connections",
        3,
        lambda found: (
            found.middle(KEYTURN.name, FEW_CLIENTS, "p99_ms")
            / found.middle(KEYTURN.name, FEW_CLIENTS, "p50_ms")
        ),
        at_most=True,
    ),
    Goal(
        "p99 in the second of a key rotation ÷ the second before",
        1.2,
        lambda found: found.paired("rotation", "during_ms", "before_ms"),
        at_most=True,
    ),
    Goal(
        "p99 beside a flood of invented keys ÷ without",
        1.5,
        lambda found: found.paired("flood", "beside_ms", "without_ms"),
        at_most=True,
    ),
    Goal(
        "memory for each cached token, 100,000 of them",
        320,
        _bytes_each,
        at_most=True,
        unit=" bytes",
    ),
    Goal(
        "memory after 1,000,000 tokens − after the first 100,000",
        5,
        _growth,
        at_most=True,
        unit=" MB",
    ),
)
