"""The tables of the ledger's file, and what brings a file of an earlier energyd to them. Data only."""

from typing import Final

APPLICATION_ID: Final = 0x656E6C67
VERSIONS: Final = (
    """
    CREATE TABLE meter (
        id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE, name TEXT NOT NULL, source TEXT NOT NULL,
        pdl TEXT NOT NULL, contract TEXT NOT NULL
    );
    CREATE TABLE mark (
        meter INTEGER NOT NULL REFERENCES meter, at_s INTEGER NOT NULL, read_s INTEGER NOT NULL, why INTEGER NOT NULL,
        mode TEXT NOT NULL, tariff TEXT NOT NULL, PRIMARY KEY (meter, at_s)
    ) WITHOUT ROWID;
    CREATE TABLE value (
        meter INTEGER NOT NULL REFERENCES meter, register TEXT NOT NULL, at_s INTEGER NOT NULL,
        energy_wh INTEGER NOT NULL, counted_wh INTEGER NOT NULL, PRIMARY KEY (meter, register, at_s)
    ) WITHOUT ROWID;
    CREATE TABLE cost (
        meter INTEGER NOT NULL REFERENCES meter, register TEXT NOT NULL, cost_neur INTEGER NOT NULL, PRIMARY KEY (meter, register)
    ) WITHOUT ROWID;
    CREATE TABLE register (
        meter INTEGER NOT NULL REFERENCES meter, register TEXT NOT NULL, period TEXT NOT NULL, PRIMARY KEY (meter, register)
    ) WITHOUT ROWID;
    CREATE TABLE peak (
        meter INTEGER NOT NULL REFERENCES meter, day TEXT NOT NULL, direction TEXT NOT NULL, power_va INTEGER NOT NULL,
        at_s INTEGER NOT NULL, said INTEGER NOT NULL, PRIMARY KEY (meter, day, direction)
    ) WITHOUT ROWID;
    CREATE TABLE interval (
        meter INTEGER NOT NULL REFERENCES meter, direction TEXT NOT NULL, begin_s INTEGER NOT NULL, end_s INTEGER NOT NULL,
        energy_j INTEGER NOT NULL, PRIMARY KEY (meter, direction, begin_s)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE former (
        meter INTEGER NOT NULL REFERENCES meter, register TEXT NOT NULL, until_s INTEGER NOT NULL, period TEXT NOT NULL,
        PRIMARY KEY (meter, register, until_s)
    ) WITHOUT ROWID;
    """,
)
"""What brings a file from each schema version to the next; a file says its own in PRAGMA user_version."""
