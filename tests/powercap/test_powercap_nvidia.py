"""NVIDIA GPUs through a compiled stand-in of the driver's library, in processes of their own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from energyd.powercap.nvidia import LIBRARY, Nvidia, find_library

COMPILER = shutil.which("cc")
PROGRAM = """
import json, sys
from energyd.powercap.nvidia import Nvidia
source = Nvidia(sys.argv[1])
found = []
for zone in source.discover():
    entry = [zone.name, zone.domain, zone.source, zone.baseline, zone.power, zone.additive, zone.read_errno]
    found.append([*entry, source.open(zone).read() if zone.used else None])
print(json.dumps(found))
"""


USERS = """
import json, os, sys
from energyd.powercap.nvidia import Nvidia
source = Nvidia(sys.argv[1])
told = []
for zone in source.discover():
    reader = source.open(zone)
    for stamp in ("1000", "1000", "2000"):
        os.environ["NVML_STAMP_US"] = stamp
        import ctypes
        ctypes.CDLL(None).setenv(b"NVML_STAMP_US", stamp.encode(), 1)
        try:
            told.append(reader.users())
        except OSError as error:
            told.append(error.errno)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if COMPILER is None:
        pytest.skip("no C compiler")
    path = tmp_path_factory.mktemp("nvml") / LIBRARY
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", path, Path(__file__).with_name("nvml.c")], check=True)
    return str(path)


def gpus(library, program=PROGRAM, **environment):
    """What a process of its own finds: the library keeps its state."""
    done = subprocess.run([sys.executable, "-c", program, library], capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)


def test_a_gpu_shows_its_energy_and_an_older_one_its_power(library):
    found = gpus(library, NVML_ENERGY_MJ="123456789012345", NVML_POWER_MW="250000")

    assert found == [
        ["gpu-0", "gpu", "nvidia", "nvml GPU-aaaa", False, False, 0, 123456789012345000],
        ["gpu-1", "gpu", "nvidia", "nvml GPU-bbbb", True, False, 0, 250_000_000],
    ]


def test_the_driver_tells_who_has_used_a_gpu_since_it_was_asked_last(library):
    sampled, again, later, *present = gpus(library, USERS, NVML_PID="77", NVML_POWER_MW="1")

    assert sampled == [[77, 60], [4242, 15]], "by the time of the multiprocessors, or of what encodes and decodes"
    assert again == [], "nothing is told twice"
    assert later == [[77, 60], [4242, 15]]
    assert present == [[[77, 1], [4242, 1]]] * 3, "where processes are not sampled, who is there counts alike"


def test_a_driver_that_does_not_tell_is_no_report(library):
    assert gpus(library, USERS, NVML_USERS_FAIL="15", NVML_POWER_MW="1")[:3] == [19, 19, 19]


def test_the_sensor_reports_users_once_a_second_behind_the_energies(library):
    program = """
import json, sys
from energyd.powercap.choice import Choice
from energyd.powercap.nvidia import Nvidia
from energyd.powercap.sensor import Sensor
now = [0]
def mono_ns():
    now[0] += 1000
    return now[0]
sensor = Sensor([Nvidia(sys.argv[1])], Choice(("auto",)), mono_ns)
sensor.rescan()
swept = []
for at_ns in (100_000_000, 500_000_000, 1_200_000_000):
    now[0] = at_ns
    swept.append([[kind, payload[0], payload[2], status] for kind, _, payload, status in sensor.sweep({"gpu-0": 1, "gpu-1": 2})])
print(json.dumps(swept))
"""
    first, second, third = gpus(library, program, NVML_PID="77", NVML_POWER_MW="1", NVML_ENERGY_MJ="5", NVML_STAMP_US="9")
    energies = [[1, 5000, 0, 0], [2, 1000, 0, 64]]
    present = [[2, 0, 0, 128], [2, 1, 77, 128], [2, 1, 4242, 128]]
    assert first == [*energies, [1, 0, 0, 128], [1, 60, 77, 128], [1, 15, 4242, 128], *present]
    assert second == energies
    assert third == [*energies, [1, 0, 0, 128], *present]


def test_a_gpu_that_fails_is_listed_with_its_reason(library):
    assert [each[6:] for each in gpus(library, NVML_LOST="15")] == [[19, None], [19, None]], "ENODEV"


def test_a_driver_that_is_not_loaded_is_no_gpu(library):
    assert gpus(library, NVML_INIT="9") == []


def test_without_the_library_ctypes_is_not_even_loaded(tmp_path):
    program = "import sys\nfrom energyd.powercap.nvidia import Nvidia\nprint(Nvidia('').discover(), 'ctypes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[] False\n"
    assert find_library([str(tmp_path)]) == ""
    assert Nvidia("").fingerprint() == {}


def test_a_file_that_is_no_library_is_no_gpu(tmp_path):
    path = tmp_path / LIBRARY
    path.write_text("not a library")

    assert find_library([str(tmp_path)]) == str(path)
    assert Nvidia(str(path)).discover() == []
