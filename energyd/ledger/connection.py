"""How the ledger's file is opened: for the one who writes, and for who only reads, also where nothing can be written.

SQLite wants to make its index of the write-ahead log even to read a file whose log is empty (sqlite.org/wal.html, "Read-Only
Databases"). Law: a log that holds something is never passed over.
"""

import sqlite3
from pathlib import Path
from typing import Final

BUSY_S: Final = 2.0


def connect(path: Path, how: str) -> sqlite3.Connection:
    """`how` is the query of SQLite's URI: mode=ro, mode=rw, immutable=1."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None, timeout=BUSY_S)


def open_to_read(path: Path) -> sqlite3.Connection:
    """Raises sqlite3.OperationalError when it cannot be read as it is."""
    db = connect(path, "mode=ro")
    try:
        db.execute("PRAGMA schema_version")
    except sqlite3.OperationalError:
        db.close()
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            raise
        db = connect(path, "immutable=1")
    return db
