"""sd_notify tells a manager how it goes, and never fails for its sake."""

import errno
import os
import socket

import pytest

from energyd.service.notify import notify


def test_what_is_said_arrives(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "manager"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "manager"))
        notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_a_manager_that_has_gone_is_no_fault(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify("WATCHDOG=1")


def test_without_a_descriptor_left_nothing_is_said(monkeypatch):
    def none_left(*_arguments):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    monkeypatch.setattr(socket, "socket", none_left)
    with pytest.raises(OSError, match="Too many"):
        socket.socket()
    notify("WATCHDOG=1")
