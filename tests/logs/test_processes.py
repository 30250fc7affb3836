"""Logs of whole processes: how they end, and several that share a pipe."""

import json
import os
import subprocess
import sys
from typing import IO

from tests.processes import ENVIRONMENT, PATIENCE, ROOT

_START = """
import os, sys, warnings
from server import logs
logs.configure(logs.LogSettings(format="json"))
log = logs.get()
"""


def start(program: str, *, stdout: int | IO[bytes] = subprocess.PIPE) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (a program of ours)
        [sys.executable, "-c", _START + program],
        cwd=ROOT,
        env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
        stdout=stdout,
        stderr=subprocess.DEVNULL,
    )


def end(process: subprocess.Popen[bytes]) -> list[str]:
    out, _ = process.communicate(timeout=PATIENCE)
    return [json.loads(line)["event"] for line in (out or b"").splitlines()]


def test_a_crash_loses_no_line() -> None:
    process = start("log.info('last words')\nraise ValueError('crash')")

    assert end(process) == ["last words"]
    assert process.returncode == 1


def test_a_forked_process_writes_its_own_lines_and_no_others() -> None:
    process = start("""
warnings.simplefilter("ignore")  # Python 3.12 says that a fork may go wrong
log.info("of the parent")
child = os.fork()
if not child:
    log.info("of the child")
    sys.exit()
os.waitpid(child, 0)
""")

    assert sorted(end(process)) == ["of the child", "of the parent"]


def test_a_reader_that_is_stuck_does_not_keep_a_process_from_ending() -> None:
    reader, stdout = os.pipe()
    process = start(
        "for _ in range(30_000): log.info('x' * 100)\nassert logs.lines_dropped()", stdout=stdout
    )

    assert process.wait(PATIENCE) == 0
    os.close(reader)
    os.close(stdout)


def test_lines_of_several_processes_do_not_mix() -> None:
    program = """
for number in range(2000):
    log.info(sys.argv[0], number=number, field="x" * (number % 3000))
"""
    reader, stdout = os.pipe()
    processes = [start(program, stdout=stdout) for _ in range(2)]
    os.close(stdout)

    with os.fdopen(reader, "rb") as lines:
        events = [json.loads(line) for line in lines]

    numbers = [event["number"] for event in events if "number" in event]
    dropped = sum(event.get("lines", 0) for event in events)
    assert len(numbers) + dropped == 4000
    assert {process.wait(PATIENCE) for process in processes} == {0}
