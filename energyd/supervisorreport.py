"""What the supervisor says of our processes, whichever it is: supervisord's plugin in workers.json, or PID 1 of its units.

Law: nobody waits for it. The file is read at once; PID 1 is asked in a thread, at most every `ASK_S`, and what it said last is told
meanwhile.
"""

import threading
from collections.abc import Callable
from typing import Any, Final

from energyd import rundir, unitstates
from energyd.service.clock import Clock
from energyd.units import NS_PER_S

ASK_S: Final = 15
"""To ask costs 5 ms of a processor: 0.03 % of a core."""


class SupervisorReport:
    """Call it for the newest report; None when nobody supervises us, or nobody has answered yet."""

    def __init__(self, run_dir: str, clock: Clock, ask: Callable[[str], dict[str, Any] | None] = unitstates.report) -> None:
        self._run_dir = run_dir
        self._clock = clock
        self._ask = ask
        self._due_ns = clock.mono_ns()
        self._told: dict[str, Any] | None = None

    def __call__(self) -> dict[str, Any] | None:
        report = rundir.read_json(rundir.workers_file(self._run_dir))
        if report is not None:
            return report
        now_ns = self._clock.mono_ns()
        if now_ns >= self._due_ns:
            self._due_ns = now_ns + ASK_S * NS_PER_S
            threading.Thread(target=self._refresh, daemon=True).start()
        return self._told

    def _refresh(self) -> None:
        self._told = self._ask(self._run_dir)
