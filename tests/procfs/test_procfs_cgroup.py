"""Mounts and memberships of control groups, on v1, v2 and hybrid machines and inside containers."""

from energyd.procfs.cgroup import CPUACCT, V2, Membership, Mount, parse_membership, parse_mounts

V2_MOUNT = b"31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNTS = (
    b"33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    b"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    b"40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
    b"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)


def test_v2_is_found() -> None:
    assert parse_mounts(b"22 27 0:21 / /proc rw - proc proc rw\n" + V2_MOUNT) == {
        V2: Mount(frozenset({V2}), b"/", b"/sys/fs/cgroup")
    }


def test_each_controller_of_a_hybrid_machine_is_found() -> None:
    mounts = parse_mounts(V1_MOUNTS)
    assert {name: mount.point for name, mount in mounts.items()} == {
        CPUACCT: b"/sys/fs/cgroup/cpu,cpuacct",
        "memory": b"/sys/fs/cgroup/memory",
        V2: b"/sys/fs/cgroup/unified",
    }


def test_the_mount_under_the_configured_sysfs_is_preferred() -> None:
    host = b"50 23 0:28 / /host/sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    own = b"31 23 0:28 /docker/0123 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    assert parse_mounts(own + host, b"/host/sys")[V2].point == b"/host/sys/fs/cgroup"
    assert parse_mounts(host + own, b"/sys")[V2].point == b"/sys/fs/cgroup"
    assert parse_mounts(own + host, b"/elsewhere")[V2].point == b"/host/sys/fs/cgroup", "that which shows all of the hierarchy"


def test_escaped_mount_points_and_lines_cut_short_are_read() -> None:
    assert parse_mounts(b"1 2 3\n\n1 2 0:1 / /my\\040groups rw - cgroup2 none rw\n")[V2].point == b"/my groups"


def test_groups_are_found_below_the_mount() -> None:
    whole, part = Mount(frozenset({V2}), b"/", b"/sys/fs/cgroup"), Mount(frozenset({V2}), b"/docker/1", b"/sys/fs/cgroup")
    assert whole.directory(b"/system.slice/x") == b"/sys/fs/cgroup/system.slice/x"
    assert whole.directory(b"/") == b"/sys/fs/cgroup"
    assert part.directory(b"/docker/1/init") == b"/sys/fs/cgroup/init"
    assert part.directory(b"/docker/1") == b"/sys/fs/cgroup"
    assert part.directory(b"/docker/12") is None
    assert whole.directory(b"/../../host") is None, "seen from another cgroup namespace"


def test_a_process_is_counted_where_its_group_is_not_the_root() -> None:
    hybrid = parse_mounts(V1_MOUNTS)
    both = b"4:memory:/m\n2:cpu,cpuacct:/docker/1\n1:name=systemd:/s\n0::/u\n"
    only_v2 = b"2:cpu,cpuacct:/\n1:name=systemd:/s\n0::/u\n"
    assert parse_membership(both, hybrid) == Membership((CPUACCT, b"/docker/1"), b"/docker/1")
    assert parse_membership(only_v2, hybrid) == Membership((V2, b"/u"), b"/u")
    assert parse_membership(b"2:cpu,cpuacct:/\n0::/u\n", {CPUACCT: hybrid[CPUACCT]}) == Membership(None, b"/u")


def test_a_process_that_nothing_counts_is_shown_where_it_says_most() -> None:
    assert parse_membership(b"4:memory:/task/long\n2:cpuacct:/\n1:name=systemd:/s\n0::/\n", {}).shown == b"/s"
    assert parse_membership(b"4:memory:/task/long\n3:pids:/p\n2:cpuacct:/\n0::/\n", {}).shown == b"/task/long"
    assert parse_membership(b"", {}) == Membership(None, b"/")


def test_paths_may_hold_colons_and_a_removed_group_keeps_its_name() -> None:
    mounts = parse_mounts(V2_MOUNT)
    assert parse_membership(b"0::/a:b:c\n", mounts).shown == b"/a:b:c"
    assert parse_membership(b"0::/gone.scope (deleted)\n", mounts).shown == b"/gone.scope"
