"""The page docs/conformance.md, made from the table; ``python -m`` writes it."""

from itertools import groupby
from pathlib import Path

from tests.conformance import rfc6750, rfc7515, rfc7517, rfc7519, rfc8725, rfc9068
from tests.conformance.table import PROFILES, Answer, NoStart, Row

PATH = Path(__file__).parent.parent.parent / "docs/conformance.md"

_MODULES = (rfc6750, rfc7515, rfc7517, rfc7519, rfc8725, rfc9068)


def _order(row: Row) -> tuple[int, list[int]]:
    return int(row.rfc.removeprefix("RFC ")), [int(part) for part in row.number.split(".")]


ROWS: tuple[Row, ...] = tuple(
    sorted((row for module in _MODULES for row in module.ROWS), key=_order)
)

_INTRODUCTION = """\
# Which rules does it hold?

Each row is a requirement that an RFC has for a resource server, in our words, and what comes out when it is tried
against the whole server: the status, the error code that the client is told, and in brackets the reason that the
operator reads ([Answers](answers.md)). Where it is the configuration that is tried, the server does not
start and names the fault.

Beside MUST NOT and SHOULD NOT stands what should not be; beside a dash, what the RFC leaves open. Two daggers (‡) mark
where we ask for less than the RFC, one (†) where we are stricter or different: the reasons follow. Rows hold in both
profiles unless they name one.

The tests that try them are the source of this page: `make conformance` writes it anew.
"""

_LESS = "## Where we ask for less (‡)\n\n"
_MORE = "## Where we are stricter, or different (†)\n\n"


def render() -> str:
    """Write the page."""
    tables = [_table(rfc, list(rows)) for rfc, rows in groupby(ROWS, key=lambda row: row.rfc)]
    less = _LESS + _reasons([row for row in ROWS if row.asks_less])
    more = _MORE + _reasons([row for row in ROWS if not row.asks_less])
    return "\n".join([_INTRODUCTION, less, more, *tables])


def _table(rfc: str, rows: list[Row]) -> str:
    head = f"## {rfc}\n\n| section | level | requirement | what comes out |\n|---|---|---|---|\n"
    return head + "".join(f"| {' | '.join(map(_cell, _cells(row)))} |\n" for row in rows)


def _cells(row: Row) -> list[str]:
    profile = "" if row.profiles == PROFILES else f" (profile `{row.profiles[0]}`)"
    return [
        row.number,
        row.level,
        row.requirement + profile,
        _outcome(row) + _dagger(row),
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _outcome(row: Row) -> str:
    match row.expected:
        case NoStart(fault):
            return f"no start: `{fault}`"
        case Answer(status, _, reason, error, challenge):
            parts = [str(status)]
            parts += [f"`{error}`"] if error is not None else []
            parts += [f"(`{reason}`)"] if reason not in {None, error} else []
            parts += [f": `{challenge}`"] if challenge is not None else []
            return " ".join(parts).replace(" :", ":")


def _dagger(row: Row) -> str:
    if row.asks_less:
        return " ‡"
    return " †" if row.why else ""


def _reasons(rows: list[Row]) -> str:
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.why:
            reasons.setdefault(row.why, []).append(row.section)
    return "".join(f"* {why} ({_sections(named)})\n" for why, named in reasons.items())


def _sections(named: list[str]) -> str:
    by_rfc: dict[str, list[str]] = {}
    for section in dict.fromkeys(named):
        rfc, _, number = section.partition(" section ")
        by_rfc.setdefault(rfc, []).append(number)
    return "; ".join(f"{rfc} section {', '.join(numbers)}" for rfc, numbers in by_rfc.items())


if __name__ == "__main__":
    PATH.write_text(render(), encoding="utf-8")
