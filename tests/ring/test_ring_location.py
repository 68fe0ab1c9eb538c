"""Where rings go: a tmpfs that is ours, or a clear word."""

import os
from pathlib import Path

import pytest

from energyd.errors import EnvironmentFault
from energyd.ring.location import filesystem_of, resolve_run_dir

MOUNTINFO = """\
22 1 254:0 / / rw,relatime - ext4 /dev/root rw
25 22 0:23 / /dev/shm rw,nosuid,nodev shared:4 - tmpfs tmpfs rw,inode64
31 22 0:27 / /run rw,nosuid,nodev shared:11 master:3 - tmpfs tmpfs rw,size=1616924k,mode=755
"""


@pytest.fixture
def machine(tmp_path):
    """A machine with a tmpfs at `memory`, which is also its /dev/shm; `disk` is on something else."""

    class Machine:
        memory = tmp_path / "memory"
        disk = tmp_path / "disk"
        mountinfo = tmp_path / "mountinfo"

        def __init__(self):
            self.memory.mkdir()
            self.disk.mkdir()
            self.all_is("tmpfs")

        def all_is(self, filesystem):
            device = self.memory.stat().st_dev
            self.mountinfo.write_text(f"40 22 {os.major(device)}:{os.minor(device)} / / rw - {filesystem} none rw\n{MOUNTINFO}")

        def resolve(self, wanted):
            return resolve_run_dir(wanted, shared_memory=self.memory, mountinfo_path=self.mountinfo)

    return Machine()


def fall_back(machine, monkeypatch):
    """Let `disk` be a disk although both lie on the same file system here."""
    from energyd.ring import location

    really = location._filesystem_at
    monkeypatch.setattr(
        location, "_filesystem_at", lambda path, info: "ext4" if machine.disk in (path, *path.parents) else really(path, info)
    )


def test_the_file_system_of_a_device_is_the_one_in_mountinfo():
    assert filesystem_of(os.makedev(0, 27), MOUNTINFO) == "tmpfs"
    assert filesystem_of(os.makedev(254, 0), MOUNTINFO) == "ext4"
    assert filesystem_of(os.makedev(0, 99), MOUNTINFO) is None
    assert filesystem_of(os.makedev(0, 99), "") is None


def test_a_directory_on_a_tmpfs_is_taken_and_made(machine):
    wanted = machine.memory / "deep" / "energyd"
    umask = os.umask(0o077)
    try:
        assert machine.resolve(wanted) == (wanted, None)
    finally:
        os.umask(umask)

    assert wanted.stat().st_mode & 0o7777 == 0o750
    assert machine.resolve(str(wanted)) == (wanted, None), "and taken again the next time"


def test_a_directory_on_a_disk_is_not_made_and_the_fallback_is_told(machine, monkeypatch):
    fall_back(machine, monkeypatch)
    wanted = machine.disk / "energyd"

    path, message = machine.resolve(wanted)

    assert path == machine.memory / f"energyd-{os.geteuid()}"
    assert path.stat().st_mode & 0o7777 == 0o750
    assert message == f"run_dir {wanted} is not on a tmpfs (ext4): rings are in {path}"
    assert not wanted.exists()


def test_a_file_in_the_way_is_told(machine):
    wanted = machine.memory / "file"
    wanted.write_text("")

    path, message = machine.resolve(wanted)

    assert "is not a directory" in message
    assert path.is_dir()


def test_a_directory_that_cannot_be_written_is_told(machine, monkeypatch):
    wanted = machine.memory / "foreign"
    wanted.mkdir()
    really = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != wanted and really(path, mode))

    _, message = machine.resolve(wanted)

    assert f"cannot be written by uid {os.geteuid()}" in message


def test_a_directory_that_cannot_be_made_is_told(machine):
    (machine.memory / "file").write_text("")

    _, message = machine.resolve(machine.memory / "file" / "energyd")

    assert "cannot be used (Not a directory)" in message


def test_without_any_tmpfs_the_mend_is_told(machine):
    machine.all_is("overlay")

    with pytest.raises(EnvironmentFault, match=r"is not on a tmpfs \(overlay\).*mount -t tmpfs") as fault:
        machine.resolve(machine.disk / "energyd")

    assert fault.value.exit_code == 111


def test_an_unknown_file_system_is_not_taken_for_memory(machine):
    machine.mountinfo.write_text("")

    with pytest.raises(EnvironmentFault, match="of unknown type"):
        machine.resolve(machine.disk)


def test_without_proc_the_mend_is_told(machine):
    machine.mountinfo.unlink()

    with pytest.raises(EnvironmentFault, match="mount /proc"):
        machine.resolve(machine.memory)


@pytest.mark.parametrize("trap", ["symlink", "foreign"])
def test_a_fallback_that_somebody_else_has_laid_out_is_refused(machine, monkeypatch, trap):
    fall_back(machine, monkeypatch)
    fallback = machine.memory / f"energyd-{os.geteuid()}"
    if trap == "symlink":
        (machine.memory / "elsewhere").mkdir()
        fallback.symlink_to(machine.memory / "elsewhere")
    elif os.geteuid():
        pytest.skip("only root can give a directory away")
    else:
        fallback.mkdir()
        os.chown(fallback, 65534, 65534)

    with pytest.raises(EnvironmentFault, match="is a link or belongs to another user"):
        machine.resolve(machine.disk)


def test_the_mounts_of_this_machine_are_understood():
    if not os.path.ismount("/dev/shm"):
        pytest.skip("no /dev/shm")
    mountinfo = Path("/proc/self/mountinfo").read_text()

    assert filesystem_of(os.stat("/dev/shm").st_dev, mountinfo) == "tmpfs"
    assert filesystem_of(os.stat("/proc").st_dev, mountinfo) == "proc"
