"""Which counters of processes fell, and which belong to another process with the pid of the first."""

import os
import subprocess

from falls import Falls, since_boot_s, started_s

BORN = {7: 100.0, 8: 100.0}


def page(**joules: float) -> str:
    """The exposition of processes p7, p8, ... between families of other things."""
    labels = 'comm="a} \\"b",cgroup="/x",uid="0",source="rapl"'
    lines = [f'energyd_process_energy_joules_total{{pid="{name[1:]}",{labels}}} {value!r}' for name, value in joules.items()]
    return "\n".join(["# TYPE x counter", "energyd_pid_total 5", *lines, 'energyd_process_power_watts{pid="7"} 3', ""])


def falls_of(*looks: tuple[float, str], born: dict[int, float] = BORN) -> Falls:
    falls = Falls(born.get)
    for at_s, text in looks:
        falls.look(text, at_s)
    return falls


def test_a_counter_that_falls_while_its_process_lives_is_found():
    falls = falls_of((200, page(p7=1.5, p8=2.0)), (205, page(p7=1.25, p8=2.0)), (210, page(p7=1.5, p8=3.0)))
    assert falls.found == [
        'energyd_process_energy_joules_total{pid="7",comm="a} \\"b",cgroup="/x",uid="0",source="rapl"} from 1.5 to 1.25'
    ]
    assert falls.reborn == 0


def test_a_fall_while_its_series_was_out_of_view_is_found():
    assert len(falls_of((200, page(p7=1.5)), (205, page(p8=1.0)), (210, page(p7=1.25, p8=1.0))).found) == 1


def test_a_pid_that_is_used_again_begins_anew():
    born = dict(BORN)
    falls = falls_of((200, page(p7=1.5)), born=born)
    born[7] = 201.0
    falls.look(page(p7=0.25), 210)
    falls.look(page(p7=0.5), 215)
    assert (falls.found, falls.reborn) == ([], 1)
    falls.look(page(p7=0.375), 220)
    assert len(falls.found) == 1, "its successor may not fall either"


def test_who_has_ended_or_was_born_just_now_proves_nothing():
    born = dict(BORN)
    falls = falls_of((200, page(p7=1.5)), born=born)
    born[7] = 206.0  # and the page shows its predecessor for the last time
    falls.look(page(p7=1.75), 207)
    falls.look(page(p7=0.25), 215)
    del born[7]
    falls.look(page(p7=0.125), 220)
    assert not falls.found


def test_the_start_of_a_process_is_told_by_the_kernel():
    before_s = since_boot_s()
    with subprocess.Popen(["sleep", "60"]) as process:
        start_s = started_s(process.pid)
        process.kill()
    assert before_s - 0.02 <= start_s <= since_boot_s()
    assert started_s(process.pid) is None
    assert started_s(os.getpid()) <= before_s
