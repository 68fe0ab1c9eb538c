"""What the aggregator does with the state that it finds."""

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from energyd import keeper
from energyd.config import Config, Energy, GroupRule, Metrics
from energyd.errors import EXIT_ENVIRONMENT
from energyd.keeper import Keeper
from energyd.service import onewriter, statefile
from energyd.workers import aggregator


def test_the_state_of_an_aggregator_that_runs_is_left_alone(settings: Config, capsys: pytest.CaptureFixture[str]) -> None:
    config = Path(settings.run_dir, "config.json")
    config.write_text(settings.to_json())
    first = onewriter.hold(settings.state_dir)
    try:
        assert aggregator.main([str(config)]) == EXIT_ENVIRONMENT
    finally:
        os.close(first)
    assert "state belongs to another energyd that runs" in capsys.readouterr().err


@pytest.fixture
def settings() -> Iterator[Config]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    home = Path(tempfile.mkdtemp(prefix="energyd-test-", dir="/dev/shm"))
    (home / "state").mkdir()
    yield Config(run_dir=str(home), state_dir=str(home / "state"), metrics=Metrics(enabled=False))
    shutil.rmtree(home)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_what_one_saves_the_next_takes_up(settings: Config) -> None:
    first = Keeper(settings)
    first.engine.groups.number(first.engine._grouper.of_cgroup("/system.slice/a.service"))
    first.save_totals()
    first.save_windows()
    assert len(Keeper(settings).engine.groups) == 1


def test_the_price_in_force_is_looked_up_at_each_fold_and_is_what_groups_and_host_are_charged(settings: Config) -> None:
    keeper = Keeper(settings._replace(energy=Energy(price_eur_per_kwh=0.25)))
    assert keeper.engine.groups.costs.price_neur_per_wh == 250_000
    keeper.engine.groups.costs.price_neur_per_wh = 7
    keeper.fold()
    assert keeper.engine.groups.costs.price_neur_per_wh == 250_000


def test_the_state_of_another_version_is_set_aside_and_said(settings: Config, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(settings.state_dir) / keeper.TOTALS
    statefile.save(path, {"boot_id": "x", "engine": {}, "cursors": {}})
    Keeper(settings).save_totals()
    assert "another version" in capsys.readouterr().err
    assert path.with_name(keeper.TOTALS + ".other-version").exists()
    Keeper(settings)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("engine", [{}, {"zones": {"zones": {"package-0": {}}}}, {"zones": 7}])
def test_a_state_that_cannot_be_taken_up_is_set_aside_and_does_not_stop_the_aggregator(
    settings: Config, capsys: pytest.CaptureFixture[str], engine: dict[str, object]
) -> None:
    path = Path(settings.state_dir) / keeper.TOTALS
    statefile.save(path, {"layout": keeper.LAYOUT, "boot_id": "x", "engine": engine, "cursors": {}})
    Keeper(settings).save_totals()
    assert "cannot be taken up" in capsys.readouterr().err
    assert path.with_name(keeper.TOTALS + ".other-version").exists()
    Keeper(settings)
    assert capsys.readouterr().err == ""


def test_after_a_change_of_the_rules_all_labels_are_read_again(settings: Config) -> None:
    first = Keeper(settings)
    first.feed.cursors = lambda: {"usage": ["identity", 7, 99]}  # type: ignore[method-assign]
    first.save_totals()
    assert Keeper(settings).feed.cursors()["usage"] == ["identity", 7, 99]
    changed = settings._replace(groups=(GroupRule(name="x", comm=("y",)),))
    assert Keeper(changed).feed.cursors()["usage"] == ["identity", 7, 0]


def test_after_a_reboot_rings_are_read_from_their_beginning(settings: Config) -> None:
    first = Keeper(settings)
    first.feed.cursors = lambda: {"usage": ["identity", 7, 99]}  # type: ignore[method-assign]
    first._boot_id = "of another boot"
    first.save_totals()
    assert Keeper(settings).feed.cursors() == {}


class Rings:
    """Of a keeper that only counts how often it has saved: the ring is replaced at these turns."""

    def __init__(self, replaced: set[int]) -> None:
        self.feed = self
        self._replaced, self.turns = replaced, 0
        self.saved_at: list[int] = []

    def every_second(self) -> None:
        self.turns += 1

    def any_replaced(self) -> bool:
        return self.turns in self._replaced

    def save_totals(self) -> None:
        self.saved_at.append(self.turns)


@pytest.mark.parametrize(("replaced", "saved_at"), [(set(), [1]), ({4}, [1, 4])])
def test_totals_are_saved_at_the_first_turn_and_whenever_a_ring_has_been_replaced(
    monkeypatch: pytest.MonkeyPatch, replaced: set[int], saved_at: list[int]
) -> None:
    """Whoever is killed every few seconds would else replay from ever further back than the rings reach."""
    monkeypatch.setattr(aggregator, "FOLD_S", 0.001)
    rings = Rings(replaced)

    async def look() -> None:
        stop = asyncio.Event()
        outlets = SimpleNamespace(pushing=asyncio.get_running_loop().create_future())
        loop = asyncio.create_task(aggregator.main_loop(rings, outlets, stop))  # type: ignore[arg-type]
        while rings.turns < 6:
            await asyncio.sleep(0.001)
        stop.set()
        await loop

    asyncio.run(look())
    assert rings.saved_at == saved_at
