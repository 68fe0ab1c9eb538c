"""procfs files are parsed whatever a process calls itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from procworld import KERNEL_THREAD, stat_line

from energyd.procfs.stat import NS_PER_TICK, parse_host_cpu, parse_last_pid, parse_memory, parse_stat, text
from energyd.samples import CPU_MODES, MEMORY_FIELDS


@pytest.mark.parametrize("comm", [b"bash", b"tmux: server", b"a) S 1 (b", b")", b"((", b"", b"two\nlines", b"\xff\xfe", b'"\\'])
def test_a_process_may_call_itself_what_it_likes(comm: bytes) -> None:
    stat = parse_stat(stat_line(7, comm, 4242, ticks=(3, 4), rss_pages=5))
    assert stat.comm == comm
    assert stat.start_ticks == 4242
    assert stat.cpu_ns == 7 * NS_PER_TICK
    assert stat.rss_bytes == 5 * 4096
    assert stat.ppid == 1
    assert not stat.kernel_thread


@given(st.binary(max_size=64), st.integers(0, 1 << 62), st.integers(0, 1 << 40))
def test_no_name_moves_the_fields(comm: bytes, start_ticks: int, ticks: int) -> None:
    stat = parse_stat(stat_line(1, comm, start_ticks, ticks=(ticks, 1)))
    assert (stat.comm, stat.start_ticks, stat.cpu_ns) == (comm, start_ticks, (ticks + 1) * NS_PER_TICK)


def test_a_kernel_thread_is_told_by_its_flag() -> None:
    assert parse_stat(stat_line(2, b"kthreadd", 1, flags=KERNEL_THREAD | 0x40)).kernel_thread


@pytest.mark.parametrize(
    "data", [b"", b"1", b"1 (bash", b"1 (bash) S 1 2 3", b") ( 1 2 3", stat_line(1, b"a", 777).replace(b"777", b"x")]
)
def test_what_is_no_stat_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_stat(data)


def test_the_host_s_cpu_time_is_read_by_mode_and_guests_are_not_counted_twice() -> None:
    data = b"cpu  10 20 30 40 50 60 70 80 90 100\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 1 2 3\n"
    assert parse_host_cpu(data) == [mode * NS_PER_TICK for mode in (10, 20, 30, 40, 50, 60, 70, 80)]
    assert len(parse_host_cpu(data)) == len(CPU_MODES)


@pytest.mark.parametrize("data", [b"", b"\n", b"cpu 1 2 3\n", b"intr 1 2 3 4 5 6 7 8 9\n"])
def test_what_is_no_proc_stat_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_host_cpu(data)


def test_memory_is_in_bytes_and_missing_fields_are_left_out() -> None:
    data = b"MemTotal:       2 kB\nMemFree:  1 kB\nHugePages_Total:  0\nSwapFree:  0 kB\n"
    assert parse_memory(data) == {
        MEMORY_FIELDS.index("MemTotal"): 2048,
        MEMORY_FIELDS.index("MemFree"): 1024,
        MEMORY_FIELDS.index("SwapFree"): 0,
    }


def test_the_newest_pid_is_the_last_field_of_loadavg() -> None:
    assert parse_last_pid(b"0.20 0.18 0.12 1/80 11206\n") == 11206


def test_names_that_are_not_utf8_are_shown_escaped() -> None:
    assert text(b"caf\xc3\xa9 \xff") == "café \\xff"
