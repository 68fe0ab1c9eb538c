"""The changelog and the package speak of the same version."""

import re
from pathlib import Path

from energyd import __version__

ROOT = Path(__file__).parents[1]


def test_the_top_version_of_the_changelog_is_the_version_of_the_package():
    versions = re.findall(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert versions[0] == __version__
