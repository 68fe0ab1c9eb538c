"""The control groups' account: who claims what of the exited, by hand-made readings."""

from collections import Counter

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd.aggregate.cgroups import CARRIED_NS, CARRIED_PART, CgroupBook, Reading

CAPACITY_NS = 1_000_000_000
MS = 1_000_000


class Book:
    """A book whose groups are numbered by path; held numbers are counted."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.held: Counter[int] = Counter()
        self.book = CgroupBook(self.number, lambda number: self.held.update([number]), lambda number: self.held.subtract([number]))
        self.totals: dict[tuple[str, str], int] = {}

    def number(self, path: str) -> int:
        return self.numbers.setdefault(path, len(self.numbers))

    def batch(
        self,
        used: dict[str, int],
        living: dict[str, int] | None = None,
        *,
        hierarchy: str = "v2",
        gone: tuple[str, ...] = (),
        first: bool = False,
    ) -> None:
        """`used`: what each path counts more than before."""
        readings = []
        for path, used_ns in used.items():
            place = hierarchy, path
            self.totals[place] = self.totals.get(place, 0) + used_ns
            readings.append(Reading(place, self.totals[place], 100, path in gone))
        self.book.fold(readings, {(hierarchy, path): ns for path, ns in (living or {}).items()}, None if first else CAPACITY_NS)

    def settle(self, exited_ns: int) -> dict[str, int]:
        return {path: ns for (_, path), ns in self.book.settle(exited_ns, CAPACITY_NS)}


@pytest.fixture
def book() -> Book:
    made = Book()
    made.batch({"/a": 5000 * MS, "/a/b": 2000 * MS, "/c": 10**13}, first=True)
    assert made.settle(0) == {}
    return made


def test_what_the_living_do_not_account_for_ended_there(book: Book) -> None:
    book.batch({"/a": 50 * MS, "/c": 20 * MS}, {"/a": 30 * MS, "/c": 20 * MS})
    assert book.settle(100 * MS) == {"/a": 20 * MS}


def test_what_is_counted_below_is_not_claimed_above(book: Book) -> None:
    book.batch({"/a": 60 * MS, "/a/b": 40 * MS}, {"/a": 5 * MS, "/a/b": 10 * MS})
    assert book.settle(100 * MS) == {"/a": 15 * MS, "/a/b": 30 * MS}


def test_members_of_a_group_that_is_not_followed_are_their_nearest_groups(book: Book) -> None:
    book.batch({"/a": 50 * MS}, {"/a/unread/deep": 30 * MS})
    assert book.settle(100 * MS) == {"/a": 20 * MS}
    assert book.book.nearest(("v2", "/a/unread/deep")) == ("v2", "/a")
    assert book.book.nearest(("v2", "/x")) is None
    assert book.book.nearest(None) is None


def test_no_more_is_given_than_ended_in_the_machine_and_the_rest_is_owed(book: Book) -> None:
    book.batch({"/a": 30 * MS, "/c": 10 * MS})
    assert book.settle(20 * MS) == {"/a": 15 * MS, "/c": 5 * MS}
    assert book.settle(50 * MS) == {"/a": 15 * MS, "/c": 5 * MS}
    assert book.settle(50 * MS) == {}


def test_a_debt_is_carried(book: Book) -> None:
    book.batch({"/a": 10 * MS}, {"/a": 14 * MS})
    assert book.settle(9 * MS) == {}
    book.batch({"/a": 10 * MS})
    assert book.settle(9 * MS) == {"/a": 6 * MS}


def test_what_a_stale_label_makes_is_forgotten_not_carried_for_ever(book: Book) -> None:
    """A burner has moved from /a to /c and is still known under /a: nothing ended, so nothing is given; later each pays its own."""
    for _ in range(20):
        book.batch({"/c": 500 * MS}, {"/a": 500 * MS})
        assert book.settle(0) == {}
    bound_ms = max(CARRIED_NS, CAPACITY_NS // CARRIED_PART) // MS
    book.batch({"/a": (bound_ms + 7) * MS})
    assert book.settle(1000 * MS) == {"/a": 7 * MS, "/c": bound_ms * MS}


def test_a_group_made_since_the_last_scan_claims_all_that_it_counts(book: Book) -> None:
    book.batch({"/a": 90 * MS, "/a/new": 80 * MS}, {"/a/new": 50 * MS})
    assert book.settle(1000 * MS) == {"/a": 10 * MS, "/a/new": 30 * MS}


def test_an_old_group_that_is_seen_late_claims_from_there_on(book: Book) -> None:
    book.batch({"/d": 10**15}, {"/d": 5 * MS})
    assert book.settle(1000 * MS) == {}
    book.batch({"/d": 20 * MS}, {"/d": 5 * MS})
    assert book.settle(1000 * MS) == {"/d": 15 * MS}


def test_a_group_that_comes_between_takes_its_children(book: Book) -> None:
    book.batch({"/a": 10 * MS, "/a/b": 10 * MS, "/a/b/c/d": 10 * MS})
    book.settle(0)
    book.batch({"/a": 9 * MS, "/a/b": 8 * MS, "/a/b/c": 8 * MS, "/a/b/c/d": 5 * MS})
    book.settle(0)
    book.batch({"/a/b/c": 0}, gone=("/a/b/c",))
    book.batch({"/a": 6 * MS, "/a/b": 5 * MS, "/a/b/c/d": 1 * MS})
    book.book.settle(10**12, CAPACITY_NS)
    assert book.book._followed["v2", "/a/b/c/d"].parent == ("v2", "/a/b")


def test_in_a_hybrid_machine_only_one_hierarchy_claims(book: Book) -> None:
    book.batch({"/docker/x": 10 * MS}, hierarchy="cpuacct")
    book.batch({"/a": 30 * MS})
    assert book.settle(1000 * MS) == {"/docker/x": 10 * MS}
    book.batch({"/docker/x": 5 * MS}, hierarchy="cpuacct")
    assert book.settle(1000 * MS) == {"/docker/x": 5 * MS}


def test_the_exited_belong_where_most_members_do_then_where_they_did() -> None:
    book = Book()
    web, build = book.number("web"), book.number("build")
    place = "v2", "/session"
    book.batch({"/session": 1}, first=True)
    by_path = book.numbers["/session"]
    assert book.book.group(place) == by_path
    for group in (web, build, build):
        book.book.enter(place, group)
    book.batch({"/session": 1})
    assert book.book.group(place) == build
    book.book.enter(place, web)
    book.batch({"/session": 1})
    assert book.book.group(place) == build, "a tie changes nothing"
    for group in (web, web, build, build):
        book.book.leave(place, group)
    book.batch({"/session": 1})
    assert book.book.group(place) == build
    book.book.reclassify()
    assert book.book.group(place) == by_path
    book.batch({"/session": 0}, gone=("/session",))
    assert not +book.held, "what is forgotten is not held"


def test_a_keyframe_forgets_what_it_does_not_name(book: Book) -> None:
    book.book.forget_absent({("v2", "/c")})
    assert [book.book.nearest(("v2", path)) for path in ("/a/b", "/a", "/c")] == [None, None, ("v2", "/c")]


def test_the_account_is_taken_up_from_a_saved_state(book: Book) -> None:
    book.book.enter(("v2", "/a"), 1)
    book.batch({"/a": 10 * MS, "/a/b": 4 * MS}, {"/a": 8 * MS})
    again = Book()
    again.book.restore(msgpack.unpackb(msgpack.packb(book.book.state()), strict_map_key=False))
    again.totals = dict(book.totals)
    for each in (book, again):
        each.batch({"/a": 10 * MS})
    assert again.settle(50 * MS) == book.settle(50 * MS)
    assert again.book.memory_bytes() == book.book.memory_bytes()


def test_containers_that_hold_processes_are_counted_by_runtime(book: Book) -> None:
    hex64 = "a" * 64
    for path in (f"/docker/{hex64}", f"/docker/{hex64}/sub", f"/docker/{'b' * 64}", "/lxc.payload.x", "/a"):
        book.book.enter(("v2", path), 0)
    assert book.book.containers() == (("docker", 2), ("lxc", 1))


readings = st.lists(
    st.tuples(st.sampled_from(["/a", "/a/b", "/a/b/c", "/d"]), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9)),
    max_size=30,
)


@given(readings)
def test_whatever_is_read_no_more_is_given_than_ended_and_nothing_negative(steps):
    book = Book()
    book.batch(dict.fromkeys(("/a", "/a/b", "/a/b/c", "/d"), 1000), first=True)
    for path, used_ns, living_ns, exited_ns in steps:
        book.batch({path: used_ns}, {path: living_ns})
        shares = book.settle(exited_ns)
        assert sum(shares.values()) <= exited_ns
        assert all(ns > 0 for ns in shares.values())
