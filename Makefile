# Two commands do all the set-up: `make run` and `make test`. Both may be called again and again, by root or any user.
PYTHON ?= python3
VENV ?= .venv
# A file of versions to install instead of the newest: make test VENV=.venv-floors CONSTRAINTS=packaging/floors.txt
CONSTRAINTS ?=
# Test files at a time: those that take long wait for real time to pass, and are begun first (tests/conftest.py)
JOBS ?= 4
# How long `make soak` looks on
MINUTES ?= 30
# More options: make run ARGS="--set metrics.port=9999"; make test ARGS="-k ring"
ARGS ?=
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check $(addprefix --constraint ,$(CONSTRAINTS))
GENERATE := $(BIN)/python -m

.DEFAULT_GOAL := help
.PHONY: help run test test-system soak lint docs golden bench deb clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "energyd needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "$(PYTHON) cannot make an environment: sudo apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runs: setup.cfg pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(INSTALL) --editable '.[supervisor,fast]'
	@touch $@

$(VENV)/.tests: setup.cfg pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(INSTALL) --editable '.[supervisor,fast,test]'
	@touch $@ $(VENV)/.runs

run: $(VENV)/.runs ## start energyd in the foreground; what this machine lacks is simulated
	@$(BIN)/energyd run --simulate missing $(ARGS)

test: $(VENV)/.tests ## run the whole test suite; ARGS="-n 0" in one process
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-system: $(VENV)/.tests ## install the package in a Debian 12 and a Debian 13 that are booted for it (root)
	$(BIN)/pytest -m system tests/system $(ARGS)

soak: $(VENV)/.tests ## the long runs, most of an hour: nothing grows, nothing is lost, nothing falls (MINUTES=30 of the first)
	$(BIN)/python bench/soak.py --minutes $(MINUTES)
	@for file in $(wildcard bench/soak_*.py); do echo "== $$file"; $(BIN)/python $$file || exit 1; done
	SOAK_SECONDS=300 $(BIN)/pytest tests/e2e/test_e2e_wraps.py tests/ledger/test_ledger_year.py $(ARGS)
	SOAK_SECONDS=600 $(BIN)/pytest -s tests/soak $(ARGS)

lint: $(VENV)/.tests ## ruff, mypy, and whether generated files are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(GENERATE) energyd.settings_docs --check
	$(GENERATE) energyd.cli_docs --check
	$(GENERATE) energyd.export.document --check
	$(GENERATE) energyd.dashboards --check

docs: $(VENV)/.tests ## generate conf/energyd.yml, its schema, the manual pages and METRICS.md
	$(GENERATE) energyd.settings_docs --write
	$(GENERATE) energyd.cli_docs --write
	$(GENERATE) energyd.export.document --write
	$(GENERATE) energyd.dashboards --write

golden: $(VENV)/.tests ## write the golden scrapes anew, after a deliberate change
	cd tests/export && PYTHONPATH=.. ../../$(GENERATE) test_golden_scrape

$(VENV)/.bench: setup.cfg | $(VENV)/.tests
	$(INSTALL) --editable '.[supervisor,fast,test,bench]'
	@touch $@

bench: $(VENV)/.bench ## run every benchmark; bench/README.md has the last results
	@for file in bench/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

deb: ## build the Debian package into dist
	packaging/build-deb dist

clean: ## remove the environments and what tools left behind
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
