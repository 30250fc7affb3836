"""Run it: ``make soak``; ten minutes, or as many as ``--minutes`` says."""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from aiohttp import ClientSession

from bench import machine
from bench.contestants import PEER_ENV
from bench.processes import ROOT
from bench.soak import report
from bench.soak.account import Finding, by_case, judge
from bench.soak.client import Client, Record, Trickler
from bench.soak.ledger import Evidence, read
from bench.soak.memory import Sample
from bench.soak.server import Series, Server
from bench.soak.tokens import Traffic
from bench.soak.troubles import Troubles

_WHOLE = 10.0  # minutes
_CLIENTS = 16
_RATE = 25.0  # requests a second, of each
_TRICKLERS = 20
_LOOK = 5.0  # seconds between two looks at the memory
_SCHEMA = ROOT / "docs/log-schema.json"
_KEPT = ROOT / ".bench/soak.json"


class Run:
    """One run: what is kept of it while it goes on."""

    def __init__(self, server: Server, traffic: Traffic, seconds: float) -> None:
        self.server = server
        self.records: list[Record] = []
        self.memory: list[Sample] = []
        self.metrics: dict[Series, float] = {}
        self.began = time.time()
        self._traffic = traffic
        self._seconds = seconds
        self.troubles: Troubles

    async def go(self) -> None:
        """Load, trouble, and the last look at the metrics."""
        until = asyncio.Event()
        names = [f"c{number}" for number in range(_CLIENTS)]
        clients = [Client(self.server.port, each, self.records.append) for each in names]
        async with ClientSession() as session:
            self.troubles = Troubles(
                self.server,
                self._traffic,
                session,
                workers=lambda: {c.worker for c in clients} - {0},
            )
            await self.troubles.prepare()
            load = [asyncio.create_task(c.run(self._traffic, _RATE, until)) for c in clients]
            tricklers = [Trickler(self.server.port, self.records.append) for _ in range(_TRICKLERS)]
            load += [asyncio.create_task(each.run(until)) for each in tricklers]
            looking = asyncio.create_task(self._look())
            await self.troubles.go_on(self._seconds)
            until.set()
            await asyncio.gather(*load)
            looking.cancel()
            self.metrics = await self.server.metrics(session)

    async def _look(self) -> None:
        while True:
            held = self.server.memory()
            at = time.time() - self.began
            self.memory.append(Sample(at, held["worker"], held["supervisor"]))
            left = max(0, self._seconds - at)
            print(f"\r{left:4.0f} s left, {len(self.records):,} requests", end="", file=sys.stderr)
            await asyncio.sleep(_LOOK)


def main() -> int:
    """Run, judge, print; a whole run is written into docs/operations.md."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=_WHOLE)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keyturn-soak-") as work:
        results = _soak(Path(work), options.minutes * 60)
    print(f"\r{'':40}\r{report.render(results)}")
    _KEPT.parent.mkdir(exist_ok=True)
    report.keep(results, _KEPT)
    if options.minutes == _WHOLE:
        report.write(results)
        _draw()
    return 0 if results.is_right else 1


def _soak(work: Path, seconds: float) -> report.Results:
    traffic = Traffic()
    server = Server(work, traffic.own, traffic.guest)
    traffic.dev_issuer = server.issuer
    run = Run(server, traffic, seconds)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run.go())
    status = server.stop()
    lines, faults = read(server.log.lines(), json.loads(_SCHEMA.read_bytes()))
    evidence = Evidence(run.records, lines, run.metrics, run.troubles.kills)
    findings = [
        *judge(evidence),
        Finding("lines, all valid by docs/log-schema.json", f"{len(lines):,}", not faults),
        *(Finding("no line as it has to be", each, is_right=False) for each in faults[:10]),
        Finding("exit status", str(status), status == 0),
    ]
    done = [(at - run.began, what) for at, what in run.troubles.done]
    about = machine.describe()
    name = f"{about['cpu']}, {about['cores']} cores, {about['python']}"
    return report.Results(name, seconds, findings, by_case(run.records), done, run.memory)


def _draw() -> None:
    python = PEER_ENV / "bin/python"
    if not python.exists():
        print("No plot: matplotlib is missing: make bench-deps")
        return
    command = [str(python), "-m", "bench.soak.plot", str(_KEPT), str(report.PLOT)]
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
