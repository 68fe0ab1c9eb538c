"""Small files that appear whole or not at all (rename(2) is atomic), with the mode they are to have from the first byte on."""

import os


def write_atomically(path: str, text: str, mode: int = 0o640) -> None:
    """Replace `path` by a file that holds `text`; raises OSError and leaves the old file when the disk is full."""
    fresh = path + ".new"
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "w") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        os.replace(fresh, path)
    except OSError:
        try:
            os.unlink(fresh)
        except FileNotFoundError:
            pass
        raise
