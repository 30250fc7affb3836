"""
Measure Keyturn beside what a user would pick instead: ``make bench``.

A whole run writes its tables into docs/performance.md, and the plot; a part of one prints them.
"""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench import machine, page
from bench.costs import Costs
from bench.memory import Memory
from bench.micro import Micro
from bench.processes import ROOT, MeasuringError, NotServingError
from bench.progress import Step, run
from bench.rotation import Rotation
from bench.session import Session
from bench.throughput import Throughput

RESULTS = ROOT / ".bench/results.json"
_OF_A_PART = RESULTS.with_name("part.json")
_SECTIONS = ("micro", "memory", "throughput", "costs", "rotation")
_BY_WRK = frozenset({"throughput", "costs"})


def main() -> int:
    """Run what the command line asks for."""
    options = _options(sys.argv[1:])
    if options.report:
        page.write(RESULTS)
        return 0
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keyturn-bench-")))
        session = Session(work, stack, quick=options.quick)
        steps = plan(session, _possible(session, options.only or _SECTIONS))
        seconds = run([_forgiving(session, each) for each in steps])
    results = {
        "machine": machine.describe(),
        "command": _command(),
        "seconds": round(seconds),
        "apart": session.cores.are_apart,
        "skipped": session.skipped,
        **session.found,
    }
    whole = not options.quick and not options.only
    path = RESULTS if whole else _OF_A_PART
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(page.render(results))
    if whole:
        page.write(path)
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=_SECTIONS, metavar="SECTION", help=", ".join(_SECTIONS)
    )
    parser.add_argument(
        "--quick", action="store_true", help="see that all works; the figures mean nothing"
    )
    parser.add_argument(
        "--report", action="store_true", help="write docs/performance.md from the last run"
    )
    return parser.parse_args(arguments)


def _command() -> str:
    words = shlex.join(sys.argv[1:])
    return f'make bench ARGS="{words}"' if words else "make bench"


def _possible(session: Session, sections: Collection[str]) -> frozenset[str]:
    if shutil.which("wrk"):
        return frozenset(sections)
    for each in _BY_WRK.intersection(sections):
        session.skipped[each] = "wrk is missing: make bench-deps"
    return frozenset(sections) - _BY_WRK


def _forgiving(session: Session, step: Step) -> Step:
    """Let the others be measured when one thing fails."""

    def do() -> None:
        try:
            step.do()
        except (MeasuringError, NotServingError, subprocess.CalledProcessError) as error:
            session.skipped[step.what] = (str(error).splitlines() or ["it failed"])[-1]

    return replace(step, do=do)


def plan(session: Session, sections: Collection[str]) -> Iterator[Step]:
    """Give all steps: what is not timed first, all at once; then one thing after the other."""
    memory = Memory(session)
    if "memory" in sections:
        yield from memory.begin()
    if not _BY_WRK.isdisjoint(sections):
        yield session.minting()
    if "memory" in sections:
        yield from memory.end()
    if "micro" in sections:
        yield from Micro(session).steps()
    if "throughput" in sections:
        yield from Throughput(session).steps()
    if "costs" in sections:
        yield from Costs(session).steps()
    if "rotation" in sections:
        yield from Rotation(session).steps()


if __name__ == "__main__":
    sys.exit(main())
