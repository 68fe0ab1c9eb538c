"""The systems that the tests of a release share, in the order in which they stand in the file."""

import machine
import pytest
from machine import Machine

from energyd import __version__

RELEASES = ("bookworm", "trixie")
NEXT_VERSION = f"{__version__}+1"


def pytest_collection_modifyitems(config, items):
    """These boot a Debian each: only who asks for them by `-m system` gets them."""
    asked = "system" in (config.getoption("-m") or "")
    reason = machine.obstacle() if asked else "boots Debian 12 and 13: make test-system"
    for item in items:
        if "system" in item.keywords and reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """The .deb of this tree."""
    return machine.build(tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="session")
def next_package(tmp_path_factory):
    """The same with a higher version."""
    return machine.build(tmp_path_factory.mktemp("next"), NEXT_VERSION)


@pytest.fixture(scope="module", params=RELEASES)
def system(request, package):
    """A freshly booted release with the dependencies of the package."""
    with Machine(request.param, machine.dependencies(package)) as booted:
        yield booted
