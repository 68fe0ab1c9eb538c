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


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if COMPILER is None:
        pytest.skip("no C compiler")
    path = tmp_path_factory.mktemp("nvml") / LIBRARY
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", path, Path(__file__).with_name("nvml.c")], check=True)
    return str(path)


def gpus(library, **environment):
    """What a process of its own finds: the library keeps its state."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, library], capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)


def test_a_gpu_shows_its_energy_and_an_older_one_its_power(library):
    found = gpus(library, NVML_ENERGY_MJ="123456789012345", NVML_POWER_MW="250000")

    assert found == [
        ["gpu-0", "gpu", "nvidia", "nvml GPU-aaaa", False, False, 0, 123456789012345000],
        ["gpu-1", "gpu", "nvidia", "nvml GPU-bbbb", True, False, 0, 250_000_000],
    ]


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
