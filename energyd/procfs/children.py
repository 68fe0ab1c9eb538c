"""What became of the tasks that ended where neither a control group counts them nor taskstats tells: their parent's account.

Outside truth: when a parent reaps a child, its `cutime + cstime` (fields 16 and 17 of proc_pid_stat(5)) grow by all that the child
and its own ended children used, before the child's clock stops to answer. A parent that ignores SIGCHLD is told nothing.

Law: no time is told twice. What the scan had counted of a child, or what has been told for it before, is credited to who reaped
it, and only what its account grew beyond these credits is told: under the parent's command, because the child's is not known. The
account is shown in ticks, so up to two of them wait for the next child. Who has no such account is left in the sum of the exited.
"""

import os
from collections.abc import Iterable
from typing import Final

from energyd.procfs.clocks import GONE
from energyd.procfs.commands import CommandLabels
from energyd.procfs.identity import read_stat
from energyd.procfs.scan import Sample, Sink, Source
from energyd.procfs.stat import NS_PER_TICK, Stat
from energyd.procfs.table import ProcessTable, Tracked
from energyd.samples import EXITED, PROCESS
from energyd.samples import GONE as GONE_STATUS

_SHOWN_LATE_NS: Final = 2 * NS_PER_TICK


class _Account:
    """Of one process: what it was seen to have reaped (`reaped_ns`), what of that others have counted, what has been told."""

    __slots__ = ("buried", "credited_ns", "ppid", "reaped_ns", "start_ticks", "told_ns")

    def __init__(self, stat: Stat, newborn: bool) -> None:
        self.start_ticks = stat.start_ticks
        self.ppid = stat.ppid
        self.reaped_ns = 0 if newborn else stat.child_ns
        self.credited_ns = 0
        self.told_ns = self.reaped_ns
        self.buried = False  # its end has been credited already, before the scan knew of it


class ChildTime:
    """Called behind each scan of processes. Costs a stat file for every process that moved, so it sleeps where it is not needed."""

    def __init__(self, procfs_root: str, table: ProcessTable, source: Source, labels: CommandLabels, sink: Sink) -> None:
        self._root = procfs_root
        self._table = table
        self._source = source
        self._labels = labels
        self._sink = sink
        self._accounts: dict[int, _Account] = {}
        self._youngest_ticks: int | None = None  # start of the youngest in the scans before; None: everybody who lives has a past
        self.needed = False

    def after(self, processes: Iterable[Sample], keyframe: bool) -> list[Sample]:
        """`processes`: the PROCESS samples of this scan. At a keyframe it is found out whether anybody needs this."""
        if keyframe:
            self._find_out()
        if not self.needed:
            return []
        ended: dict[int, tuple[int, int]] = {}
        moved: dict[int, None] = {}
        for kind, _, (_, pid, start_ticks, cpu_ns, _), status in processes:
            if kind == PROCESS and status & GONE_STATUS:
                ended[pid] = start_ticks, cpu_ns
            elif kind == PROCESS:
                moved[pid] = None
        heirs = self._bury(ended)
        claims = self._look([*moved, *(pid for pid in heirs if pid not in moved)])
        mono_ns = self._sink.mono_ns()
        return [(EXITED, mono_ns, (self._number(pid, mono_ns), pid, 1, claim_ns, claim_ns), 0) for pid, claim_ns in claims]

    def _find_out(self) -> None:
        needed = any(map(_uncounted, self._table.tracked))
        if not needed:
            self._accounts.clear()
        elif not self.needed:
            self._youngest_ticks = None
        self.needed = needed

    def _bury(self, ended: dict[int, tuple[int, int]]) -> set[int]:
        """Credit what is known of the ended to the nearest ancestor that lives; returns whom to look at for that."""
        over: dict[int, tuple[_Account, int]] = {}
        for pid, (start_ticks, cpu_ns) in ended.items():
            account = self._accounts.get(pid)
            if account is not None and account.start_ticks == start_ticks:
                over[pid] = self._accounts.pop(pid), cpu_ns
        heirs = set()
        for account, cpu_ns in over.values():
            ppid, generations = account.ppid, len(over)
            while ppid in over and generations:
                ppid, generations = over[ppid][0].ppid, generations - 1
            heir = self._accounts.get(ppid)
            if heir is not None and not account.buried:
                heir.credited_ns += cpu_ns + account.credited_ns + account.told_ns
                heirs.add(ppid)
        if over:  # their children have got another parent
            heirs.update(pid for pid, account in self._accounts.items() if account.ppid in over)
        return heirs

    def _look(self, pids: list[int]) -> list[tuple[int, int]]:
        """Read the accounts of these; (pid, ns) of what is to be told."""
        youngest_ticks = self._youngest_ticks
        seen = []
        for pid in pids:
            stat = self._read(pid)
            if stat is None or stat.kernel_thread:
                continue
            account = self._accounts.get(pid)
            if account is None or account.start_ticks != stat.start_ticks:
                newborn = youngest_ticks is not None and stat.start_ticks >= youngest_ticks
                account = self._accounts[pid] = _Account(stat, newborn)
                self._youngest_ticks = max(self._youngest_ticks or 0, stat.start_ticks)
            account.ppid = stat.ppid
            account.reaped_ns = max(account.reaped_ns, stat.child_ns)
            seen.append(pid)
        return self._claims(seen)

    def _claims(self, pids: list[int]) -> list[tuple[int, int]]:
        claiming = {pid for pid in pids if self._beyond_ns(pid) > 0}
        early = self._reaped_meanwhile(claiming) if claiming else set()
        claims = []
        for pid in pids:
            beyond_ns = self._beyond_ns(pid)
            account = self._accounts[pid]
            if beyond_ns > 0 or (beyond_ns < -_SHOWN_LATE_NS and pid not in early):  # less: who reaped it was somebody else
                account.told_ns += beyond_ns
            position = self._table.position.get(pid)
            if beyond_ns > 0 and position is not None and _uncounted(self._table.tracked[position]):
                claims.append((pid, beyond_ns))
        return claims

    def _beyond_ns(self, pid: int) -> int:
        account = self._accounts[pid]
        return account.reaped_ns - account.credited_ns - account.told_ns

    def _reaped_meanwhile(self, parents: set[int]) -> set[int]:
        """A child that ended behind the sweep is in its parent's account already: credited now, once. Returns to whom."""
        credited = set()
        for pid, account in self._accounts.items():
            position = self._table.position.get(pid)
            if account.ppid in parents and not account.buried and position is not None:
                [value] = self._source.read([self._table.handles[position]])
                if value == GONE:
                    account.buried = True
                    used_ns = self._table.values[position] + account.credited_ns + account.told_ns
                    self._accounts[account.ppid].credited_ns += used_ns
                    credited.add(account.ppid)
        return credited

    def _read(self, pid: int) -> Stat | None:
        try:
            return read_stat(self._root, pid)
        except (OSError, ValueError):  # the scan tells of it
            return None

    def _number(self, pid: int, mono_ns: int) -> int:
        tracked = self._table.tracked[self._table.position[pid]]
        try:
            uid = os.stat(f"{self._root}/{pid}").st_uid
        except OSError:
            uid = -1
        return self._labels.number((tracked.comm, uid, tracked.membership), mono_ns)


def _uncounted(tracked: Tracked) -> bool:
    """No control group counts what its children use."""
    return tracked.membership.counted is None and not tracked.kernel_thread
