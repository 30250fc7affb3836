"""The admin listener of one worker, who answers for all; and where its siblings ask it."""

import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from aiohttp import web

from server.app import Keyturn
from server.listening import listening, private
from server.stopping import Signals
from server.vital_signs import READY, Changes
from server.web.acceptor import SharedSite
from server.web.metrics_page import render
from server.web.operations import Report, operations_app
from server.workers.crew import Crew
from server.workers.siblings import Siblings


class Operators:
    """
    Answers operators, in the worker at *place*.

    Args:
        look_up: writes down the numbers that are not counted as they change.
    """

    def __init__(
        self, crew: Crew, place: int, keyturn: Keyturn, *, look_up: Callable[[], None]
    ) -> None:
        self._crew = crew
        self._place = place
        self._keyturn = keyturn
        self._look_up = look_up
        Changes.declare(keyturn.metrics)  # the supervisor counts them

    async def listen(self, told: Signals, stack: AsyncExitStack) -> None:
        """Listen for operators and for siblings until *stack* is left."""
        operations = partial(
            operations_app,
            lambda: self._keyturn.keys,
            draining=told.stop.is_set,
            metrics=self._write_metrics,
        )
        path = self._crew.socket_of(self._place)
        local = private(operations())
        await stack.enter_async_context(
            listening(
                local, lambda runner: [web.UnixSite(runner, path)], str(path), at_once=told.at_once
            )
        )
        admin = private(operations(share=Siblings(self._crew, self._place).share))
        await stack.enter_async_context(
            listening(admin, self._sites, "admin", at_once=told.at_once)
        )

    def _sites(self, runner: web.AppRunner) -> list[web.BaseSite]:
        return [SharedSite(runner, each) for each in self._crew.ports.admin]

    def _write_metrics(self, report: Report) -> bytes:
        self._look_up()
        pids = self._crew.board.pids
        workers = {str(each): int(pids[each]) for each in self._crew.board.places if pids[each]}
        return render(
            self._keyturn.metrics,
            now={READY: report["status"] == "ready"},
            workers=workers | {"supervisor": os.getppid()},
        )
