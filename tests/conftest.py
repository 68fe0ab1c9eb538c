"""What holds for all tests. Those that wait for real processes come first, so that the fast ones fill the gaps between their waits;
no example of hypothesis has a deadline, because other tests run beside it; what a test leaves open is closed. In CI the examples
are the same each time, so that a change is judged by itself; elsewhere new ones, which find faults."""

import os
import sqlite3
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("beside others", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("beside others")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


@pytest.fixture(autouse=True)
def no_database_stays_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that plays a kill just forgets its ledger. Python 3.13 warns of connections that are left to the garbage collector."""
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def remembered(*arguments: Any, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", remembered)
    yield
    for database in opened:
        database.close()
