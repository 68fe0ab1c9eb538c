"""The aggregator does not outlive its pushing: a fault of ours is a crash, after which the supervisor starts it again."""

import asyncio
from types import SimpleNamespace

import pytest

from energyd.workers import aggregator


class Anything:
    """Stands for the keeper of totals."""

    def __getattr__(self, _name):
        return self

    def __call__(self):
        return None


def test_pushing_that_ended_by_a_fault_ends_the_aggregator(monkeypatch):
    monkeypatch.setattr(aggregator, "FOLD_S", 0.01)

    async def broken():
        raise KeyError("ours")

    async def main():
        pushing = asyncio.create_task(broken())
        with pytest.raises(AssertionError, match="BUG: pushing has ended: KeyError"):
            await asyncio.wait_for(aggregator.main_loop(Anything(), SimpleNamespace(pushing=pushing), asyncio.Event()), 5)

    asyncio.run(main())


def test_pushing_to_nobody_ends_at_once_and_is_no_fault(monkeypatch):
    monkeypatch.setattr(aggregator, "FOLD_S", 0.01)

    async def nobody():
        pass

    async def main():
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.1, stop.set)
        await asyncio.wait_for(aggregator.main_loop(Anything(), SimpleNamespace(pushing=asyncio.create_task(nobody())), stop), 5)

    asyncio.run(main())
