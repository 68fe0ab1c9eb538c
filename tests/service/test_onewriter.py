"""One process at a time writes in a directory."""

import errno
import os

import pytest

from energyd.errors import EnvironmentFault
from energyd.service import onewriter


def test_a_directory_is_held_until_its_holder_has_gone(tmp_path):
    first = onewriter.hold(str(tmp_path))
    with pytest.raises(EnvironmentFault, match=f"{tmp_path} belongs to another energyd"):
        onewriter.hold(str(tmp_path))
    os.close(first)
    os.close(onewriter.hold(str(tmp_path)))


@pytest.mark.parametrize("there", [True, False])
def test_on_a_read_only_disk_it_is_held_where_there_is_a_file(tmp_path, monkeypatch, there):
    if there:
        (tmp_path / onewriter.LOCK).touch()
    usual = os.open

    def read_only(path, flags, *mode):
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, "Read-only file system")
        return usual(path, flags, *mode)

    monkeypatch.setattr(os, "open", read_only)
    held = onewriter.hold(str(tmp_path))
    assert (held != onewriter.NOT_HELD) == there
    if there:
        with pytest.raises(EnvironmentFault):
            onewriter.hold(str(tmp_path))
        os.close(held)


def test_what_else_a_disk_says_is_passed_on(tmp_path):
    with pytest.raises(FileNotFoundError):
        onewriter.hold(str(tmp_path / "none"))
