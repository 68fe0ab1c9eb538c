"""Cores, disks, interfaces and containers as totals: across restarts, renamings, other devices of the same name, wraps."""

from batches import Batches

from energyd import samples
from energyd.aggregate.cgroups import Reading
from energyd.aggregate.containers import ContainerBook
from energyd.aggregate.figures import FORGOTTEN_AFTER, FigureBook
from energyd.aggregate.grouptraffic import GroupTraffic
from energyd.aggregate.snapshot import Group
from energyd.groups.grouper import GroupKey
from energyd.groups.rules import Container

ID = "ab" * 32
DOCKER = f"/system.slice/docker-{ID}.scope"


class World:
    """Feeds a book as the ring would: each label once, then the records that use it."""

    def __init__(self):
        self.book = FigureBook()
        self._batches = Batches(samples.USAGE)
        self._labels = 0

    def label(self, kind, name, identity="", cgroup=""):
        self._labels += 1
        entry = {"kind": kind, "name": name, "identity": identity}
        self.book.label(self._labels, {**entry, "cgroup": cgroup, "hierarchy": "v2"} if cgroup else entry)
        return self._labels

    def batch(self, *figures, whole=False):
        """Each of `figures` is (label, first index, three values[, status])."""
        for label, first, values, *status in figures:
            self._batches.add(samples.FIGURES, 1, (label, first, *values), *status)
        records = self._batches.take()
        return self.book.fold(records, whole)

    def shown(self, kind):
        return {thing.name: figures for thing, figures in self.book.present(kind)}

    def restarted(self):
        """The same, from what would have been saved."""
        book = FigureBook()
        book.restore(self.book.state())
        self.book = book


def test_figures_are_those_of_the_kernel_since_the_start_of_the_machine():
    world = World()
    eth0 = world.label("interface", "eth0", "2")
    world.batch((eth0, 0, (1000, 10, 0)), (eth0, 3, (0, 500, 5)), (eth0, 6, (0, 0, 0)), whole=True)
    world.batch((eth0, 0, (1500, 12, 0)))
    assert world.shown("interface") == {"eth0": (1500, 12, 0, 0, 500, 5, 0, 0)}


def test_load_is_no_counter():
    world = World()
    load = world.label("load", "")
    world.batch((load, 0, (300, 200, 100)), whole=True)
    world.batch((load, 0, (50, 190, 99)))
    assert world.shown("load") == {"": (50, 190, 99)}


def test_a_device_that_went_is_not_shown_and_goes_on_from_its_total_when_one_of_its_name_comes_back():
    world = World()
    ppp0 = world.label("interface", "ppp0", "5")
    world.batch((ppp0, 0, (1000, 1, 0)), whole=True)
    world.batch((ppp0, 0, (1000, 1, 0), samples.GONE))
    assert world.shown("interface") == {}
    again = world.label("interface", "ppp0", "6")
    world.batch((again, 0, (40, 1, 0)))
    assert world.shown("interface")["ppp0"][:2] == (1040, 2)


def test_a_renamed_interface_takes_its_total_along_and_leaves_its_name_to_others():
    world = World()
    eth0 = world.label("interface", "eth0", "2")
    world.batch((eth0, 0, (1000, 1, 0)), whole=True)
    wan = world.label("interface", "wan", "2")
    world.batch((eth0, 0, (1000, 1, 0), samples.GONE), (wan, 0, (1010, 1, 0)))
    assert {name: figures[0] for name, figures in world.shown("interface").items()} == {"wan": 1010}
    other = world.label("interface", "eth0", "3")
    world.batch((other, 0, (7, 1, 0)))
    assert {name: figures[0] for name, figures in world.shown("interface").items()} == {"wan": 1010, "eth0": 7}


def test_an_interface_that_takes_the_known_name_of_another_counts_there_only_what_is_new():
    world = World()
    eth0, eth1 = world.label("interface", "eth0", "2"), world.label("interface", "eth1", "3")
    world.batch((eth0, 0, (1000, 1, 0)), (eth1, 0, (50, 1, 0)), whole=True)
    new = world.label("interface", "eth0", "3")
    world.batch((eth0, 0, (1000, 1, 0), samples.GONE), (eth1, 0, (50, 1, 0), samples.GONE), (new, 0, (55, 1, 0)))
    assert {name: figures[0] for name, figures in world.shown("interface").items()} == {"eth0": 1005}


def test_a_keyframe_leaves_out_what_went_while_nobody_looked():
    world = World()
    sda, sdb = world.label("disk", "sda", "1"), world.label("disk", "sdb", "2")
    world.batch((sda, 0, (1, 512, 1)), (sdb, 0, (1, 512, 1)), whole=True)
    world.batch((sda, 0, (2, 512, 1)), whole=True)
    assert set(world.shown("disk")) == {"sda"}


def test_totals_survive_restarts_of_the_aggregator_and_of_the_reader():
    world = World()
    sda, core = world.label("disk", "sda", "1"), world.label("core", "0")
    world.batch((sda, 0, (1, 2**32 - 10, 1)), (core, 0, (10**10, 0, 0)), whole=True)
    world.batch((sda, 0, (2, 20, 1)))
    wrapped = 2**32 + 20
    world.restarted()
    assert world.shown("disk")["sda"][:2] == (2, wrapped)
    world.batch((sda, 0, (2, 30, 1)))
    again, core = world.label("disk", "sda", "1"), world.label("core", "0")
    world.batch((again, 0, (2, 40, 1)), (core, 0, (2 * 10**10, 0, 0)), whole=True)
    assert world.shown("disk")["sda"][:2] == (2, wrapped + 20)
    assert world.shown("core")["0"][0] == 2 * 10**10


def test_records_of_labels_that_nobody_knows_are_passed_over():
    world = World()
    world.batch((99, 0, (1, 1, 1)))
    world.label("interface", "eth0", "2")
    world.book.forget_labels()
    world.batch((1, 0, (1, 1, 1)))
    assert world.shown("interface") == {}


def test_labels_that_a_keyframe_did_not_use_are_forgotten():
    world = World()
    for _ in range(100):
        world.label("interface", "veth", "1")
    last = world.label("interface", "eth0", "2")
    world.batch((last, 0, (1, 1, 1)), whole=True)
    assert world.book.state()["pending"] == {}


def describe(owner):
    return Container(name="web", image="nginx:1") if owner.id == ID else Container()


class Running:
    """A book of containers with its figures; places are (hierarchy, path) in the hierarchy v2."""

    def __init__(self):
        self.book, self.figures = ContainerBook(describe), World()
        self.parents = {}

    def fold(self, *readings):
        """Each of `readings` is (path, CPU ns, memory[, gone])."""
        whole = [Reading(("v2", path), cpu_ns, memory, bool(gone)) for path, cpu_ns, memory, *gone in readings]
        self.book.fold(whole, self.parents.get)

    def shown(self):
        return {each.cgroup: (each.cpu_ns, each.memory_bytes) for each in self.book.snapshot(self.figures.book)}


def test_a_container_is_its_control_group():
    running = Running()
    running.fold((DOCKER, 1000, 77), ("/system.slice/ssh.service", 5, 5))
    running.fold((DOCKER, 1500, 78))
    [container] = running.book.snapshot(running.figures.book)
    assert (container.cgroup, container.name, container.image, container.runtime) == (DOCKER, "web", "nginx:1", "docker")
    assert (container.cpu_ns, container.memory_bytes) == (1500, 78)
    assert (container.disk_bytes, container.interfaces) == (None, ())
    running.fold((DOCKER, 1600, 0, True))
    assert running.shown() == {}


def test_a_container_of_many_control_groups_counts_each_once():
    running = Running()
    inner, leaf = f"{DOCKER}/system.slice", f"{DOCKER}/system.slice/a.service"
    running.parents = {("v2", leaf): ("v2", inner)}
    running.fold((inner, 1000, 50), (f"{DOCKER}/init.scope", 10, 1), (leaf, 600, 30))
    assert running.shown() == {DOCKER: (1010, 51)}
    running.fold((inner, 1100, 55), (leaf, 650, 30))
    assert running.shown() == {DOCKER: (1110, 56)}


def test_a_control_group_of_a_container_that_ends_leaves_what_it_used():
    running = Running()
    running.fold((f"{DOCKER}/a", 1000, 50), (f"{DOCKER}/b", 10, 1))
    running.fold((f"{DOCKER}/a", 1000, 50, True), (f"{DOCKER}/b", 20, 1))
    assert running.shown() == {DOCKER: (1020, 1)}
    running.book.forget_absent(set())
    assert running.shown() == {}


def test_a_control_group_that_appears_around_others_does_not_count_them_again():
    running = Running()
    running.fold((f"{DOCKER}/a", 1000, 50))
    running.parents = {("v2", f"{DOCKER}/a"): ("v2", DOCKER)}
    running.fold((DOCKER, 1005, 60), (f"{DOCKER}/a", 1002, 50))
    running.fold((DOCKER, 1010, 60))
    assert running.shown() == {DOCKER: (1005, 60)}


def test_disk_and_network_join_the_container_of_their_control_group():
    running = Running()
    running.fold((DOCKER, 1000, 50))
    io = running.figures.label("cgroup_io", "", cgroup=DOCKER)
    eth0 = running.figures.label("container_interface", "eth0", "4026", cgroup=f"{DOCKER}/init")
    running.figures.batch((io, 0, (4096, 512, 0)), (eth0, 0, (100, 1, 0)), (eth0, 3, (0, 200, 2)), whole=True)
    [container] = running.book.snapshot(running.figures.book)
    assert container.disk_bytes == (4096, 512)
    assert [(each.name, each.figures[0], each.figures[4]) for each in container.interfaces] == [("eth0", 100, 200)]


def test_containers_survive_a_restart():
    running = Running()
    running.fold((f"{DOCKER}/a", 1000, 50))
    book = ContainerBook(describe)
    book.restore(running.book.state())
    running.book = book
    running.fold((f"{DOCKER}/a", 1200, 50))
    assert running.shown() == {DOCKER: (1200, 50)}


WEB = GroupKey("docker", "web", "container", "docker")
GROUPS = {("v2", DOCKER): WEB}
VISIBLE = (Group(*WEB, 0, 0.0, 0, 1, None), Group("systemd", "ssh.service", "unit", "systemd", 0, 0.0, 0, 1, None))


def test_traffic_of_the_control_groups_of_a_group_adds_up_and_outlives_them():
    world, traffic = World(), GroupTraffic()
    io, eth0 = world.label("cgroup_io", "", cgroup=DOCKER), world.label("container_interface", "eth0", "1", cgroup=DOCKER)
    stranger, host = world.label("cgroup_io", "", cgroup="/unknown"), world.label("interface", "eth0", "2")
    traffic.fold(
        world.batch(
            (io, 0, (100, 10, 0)), (eth0, 0, (1, 9, 9)), (eth0, 3, (9, 2, 9)), (stranger, 0, (7, 7, 0)), (host, 0, (5, 5, 5))
        ),
        GROUPS.get,
    )
    assert [(each.group, each.bytes) for each in traffic.snapshot(VISIBLE)] == [("web", (100, 10, 1, 2))]
    traffic.fold(world.batch((io, 0, (150, 10, 0)), (eth0, 0, (1, 9, 9), samples.GONE)), GROUPS.get)
    again = world.label("container_interface", "eth0", "5", cgroup=DOCKER)
    traffic.fold(world.batch((again, 0, (40, 1, 0))), GROUPS.get)
    saved = GroupTraffic()
    saved.restore(traffic.state())
    assert [each.bytes for each in saved.snapshot(VISIBLE)] == [(150, 10, 41, 2)]
    saved.forget_absent(lambda key: key != WEB)
    assert saved.snapshot(VISIBLE) == ()


def test_an_interface_that_a_keyframe_missed_does_not_count_twice():
    world, traffic = World(), GroupTraffic()
    eth0 = world.label("container_interface", "eth0", "1", cgroup=DOCKER)
    traffic.fold(world.batch((eth0, 0, (1000, 1, 0)), whole=True), GROUPS.get)
    traffic.fold(world.batch(whole=True), GROUPS.get)
    assert world.shown("container_interface") == {}
    again = world.label("container_interface", "eth0", "1", cgroup=DOCKER)
    traffic.fold(world.batch((again, 0, (1010, 1, 0)), whole=True), GROUPS.get)
    assert [each.bytes[2] for each in traffic.snapshot(VISIBLE)] == [1010]
    for _ in range(FORGOTTEN_AFTER):
        world.batch(whole=True)
    assert world.book.state()["followed"] == []
