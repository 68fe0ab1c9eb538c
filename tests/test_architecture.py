"""The import law: the table in ARCHITECTURE.md says who may import whom, and the sources obey it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def sources():
    """{module without `energyd.`: its file}; the symbolic link energyd/workers is not followed."""
    files = [*(ROOT / "energyd").rglob("*.py"), *(ROOT / "workers").rglob("*.py")]
    names = (".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files)
    return {name.removeprefix("energyd.").removesuffix(".__init__"): file for name, file in zip(names, files, strict=True)}


SOURCES = {name: file for name, file in sources().items() if (ROOT / "energyd" / "workers") not in file.parents}


def law():
    """{module: the modules it may import} from the table whose head is `| module | may import |`."""
    lines = (ROOT / "ARCHITECTURE.md").read_text().splitlines()
    rows = {}
    for line in lines[lines.index("| module | may import |") + 2 :]:
        if not line.startswith("|"):
            break
        who, whom = (cell.replace("`", "").split() for cell in line.strip("|").split("|"))
        rows.update(dict.fromkeys(who, frozenset(whom) - {"nothing"}))
    return rows


def imported(file):
    """Every module of energyd that `file` imports anywhere, without `energyd.`; the package itself imports nothing."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide who imports whom"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        targets = [name.removeprefix("energyd.") for name in names if name.startswith("energyd.")]
        yield from (target for target in targets if target != "__version__")


def covers(rule, module):
    return module == rule or module.startswith(rule + ".")


@pytest.mark.parametrize("module", sorted(set(SOURCES) - {"__init__", "workers"}))
def test_a_module_imports_only_what_the_table_allows_it(module):
    rows = [rule for rule in law() if covers(rule, module)]
    assert rows, f"{module} is not in the table of ARCHITECTURE.md"
    own = module if module.startswith("workers.") else module.split(".")[0]
    allowed = {own, *law()[max(rows, key=len)]}

    forbidden = [target for target in imported(SOURCES[module]) if not any(covers(rule, target) for rule in allowed)]

    assert forbidden == []


@pytest.mark.parametrize("package", ["__init__", "workers"])
def test_importing_the_package_itself_imports_nothing(package):
    assert list(imported(SOURCES[package])) == []


@pytest.mark.parametrize("row", sorted(law()))
def test_the_table_speaks_of_modules_that_exist(row):
    assert any(covers(row, module) for module in SOURCES), f"ARCHITECTURE.md: {row} is no module of energyd"


def loaded(module, names):
    """Which of `names` come into a process that imports `module`. -S: what `site` loads of an environment is not ours."""
    code = f"import sys; sys.path[:] = {[str(ROOT), *sys.path]}; import {module}; print(*[n for n in {names} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.split()


@pytest.mark.parametrize("reader", ["tic", "rapl", "usage"])
def test_a_reader_process_loads_none_of_the_heavy_libraries(reader):
    """8 MB a reader: they do not come in through others either."""
    heavy = ("numpy", "asyncio", "yaml", "dataclasses", "aiohttp", "multiprocessing")
    each_half_a_megabyte = ("logging", "threading", "traceback", "pathlib", "urllib.parse", "socket", "subprocess", "argparse")

    assert loaded(f"energyd.workers.{reader}", heavy + each_half_a_megabyte) == []


def test_the_aggregator_loads_nothing_that_only_some_configurations_need():
    """1.4 MB: pushing with its spools, YAML and bcrypt of a web configuration, what advises who has mistyped a key."""
    some_need = ("energyd.export.target", "energyd.spool.spool", "yaml", "bcrypt", "difflib", "energyd.configfile", "unittest")

    assert loaded("energyd.workers.aggregator", some_need) == []
