"""When a receiver may be tried again: at once after a success, later and later after failures, never before it said."""

import asyncio
from typing import Final

BACKOFF_FIRST_S: Final = 1.0
BACKOFF_MAX_S: Final = 60.0


class Gate:
    """Shared by everything that goes to one receiver."""

    def __init__(self) -> None:
        self.failures = 0  # in a row
        self._opens_s = 0.0

    @property
    def wait_s(self) -> float:
        """How long it is still closed; 0 = open."""
        return max(0.0, self._opens_s - asyncio.get_running_loop().time())

    async def opened(self) -> None:
        """Return when it is open."""
        while (wait_s := self.wait_s) > 0:
            await asyncio.sleep(wait_s)

    def succeeded(self) -> None:
        """Open it."""
        self.failures = 0
        self._opens_s = 0.0

    def failed(self, retry_after_s: float) -> None:
        """Close it for a while."""
        backoff_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(self.failures, 30))
        self.failures += 1
        self._opens_s = asyncio.get_running_loop().time() + max(backoff_s, retry_after_s)
