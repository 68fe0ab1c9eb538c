"""Time for tests."""


class TurnedClock:
    """A clock that stands still until a test turns it; sleeping turns it too. `real_offset_ns` is civil minus monotonic time."""

    def __init__(self, now_ns: int = 10**12, real_offset_ns: int = 0) -> None:
        self.now_ns = now_ns
        self.real_offset_ns = real_offset_ns
        self.sleeps = 0  # how often somebody slept

    def mono_ns(self) -> int:
        return self.now_ns

    def real_ns(self) -> int:
        return self.now_ns + self.real_offset_ns

    def sleep_until_ns(self, mono_ns: int) -> None:
        self.sleeps += 1
        self.now_ns = max(self.now_ns, mono_ns)
