# Two commands are enough: `make run` and `make test`.  `make` alone lists the others.

.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV ?= .venv
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,\
	$(shell $(p) -c 'import sys; print("$(p)") if sys.version_info >= (3, 11) else None' 2>/dev/null)))
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := pytest -q --numprocesses auto --maxprocesses 4 --dist worksteal

# The environment, from the lock files, each package by its hash.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: python3, python3.13, … on the PATH."; exit 1; }
	@echo "Making the environment $(VENV) with $$($(PYTHON) --version) …" >&2
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: Debian and Ubuntu have it in the package python3-venv."; rm -rf $(VENV); exit 1; }

$(VENV)/run.stamp: deploy/requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing what Keyturn needs …" >&2
	@$(PIP) install --require-hashes -r deploy/requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: deploy/requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo "Installing what the checks need …" >&2
	@$(PIP) install --require-hashes -r deploy/requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/run.stamp

.PHONY: help run token test check lint format types imports dependencies test-all-pythons test-interop conformance log-page lock clean fuzz bench bench-deps soak deploy-check

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-24s %s\n", $$1, $$2}'

run: $(VENV)/run.stamp ## serve the API on :3010 and the development issuer on :3011
	@exec $(BIN)/python -m server serve 2>&1

token: $(VENV)/run.stamp ## print an access token of the development issuer (ARGS="--scope …")
	@$(BIN)/python -m server token $(ARGS)

test: $(VENV)/dev.stamp ## run the whole test suite
	@$(BIN)/python -m $(PYTEST)

check: lint types imports dependencies coverage test-all-pythons ## what CI runs: lint, types, import rules, tests

lint: $(VENV)/dev.stamp ## judge style and form
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

format: $(VENV)/dev.stamp ## put the code into form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

types: $(VENV)/dev.stamp ## judge types
	@$(BIN)/mypy

imports: $(VENV)/dev.stamp ## hold the import rules of the house
	@$(BIN)/lint-imports

dependencies: $(VENV)/dev.stamp ## hold what is declared against what is imported
	@$(BIN)/deptry server

.PHONY: coverage
coverage: $(VENV)/dev.stamp ## run the tests and measure branch coverage
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m $(PYTEST)
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report

# Python 3.11 and 3.13 are the oldest and the newest supported.
test-all-pythons: ## run the tests on Python 3.11 and 3.13, where they are installed
	@for version in 3.11 3.13; do \
		if test "$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$$version"; then continue; fi; \
		if python$$version -c '' 2>/dev/null; then \
			$(MAKE) --no-print-directory test VENV=.venv-$$version PYTHON=python$$version || exit 1; \
		else echo "Skipped: no python$$version on the PATH."; fi; \
	done

fuzz: $(VENV)/dev.stamp ## fire tens of thousands of damaged tokens and requests
	@echo "Ten thousand examples of each law, fifty thousand requests: two to four minutes …" >&2
	@$(BIN)/python -m $(PYTEST) -m fuzz --hypothesis-profile fuzz -o faulthandler_timeout=0

bench: $(VENV)/dev.stamp ## measure against bare aiohttp and the peers: ten minutes (ARGS="--quick")
	@$(BIN)/python -m bench $(ARGS)

soak: $(VENV)/dev.stamp ## ten minutes of load and trouble, and what became of each request (ARGS="--minutes 2")
	@$(BIN)/python -m bench.soak $(ARGS)

bench-deps: .venv-bench/stamp ## install what make bench measures against, and wrk
	@if command -v npm >/dev/null; then npm ci --silent --prefix bench/peers; \
	else echo "No peers on Node: install Node 20 or newer, then make bench-deps again."; fi
	@if command -v wrk >/dev/null; then :; \
	elif command -v apt-get >/dev/null && test "$$(id -u)" = 0; then apt-get update -q && apt-get install -y -q wrk; \
	elif command -v apt-get >/dev/null && command -v sudo >/dev/null; then sudo apt-get update -q && sudo apt-get install -y -q wrk; \
	else echo "No load: install wrk (brew install wrk, dnf install wrk …)."; fi

.venv-bench/stamp: bench/peers/requirements.lock | $(BIN)/python
	@echo "Installing the peers on Python, and what draws the plot …" >&2
	@$(BIN)/python -m venv .venv-bench
	@.venv-bench/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@

test-interop: $(VENV)/dev.stamp ## run against an issuer that is not ours (needs Node)
	@if command -v npm >/dev/null; then npm ci --silent --prefix tests/interop; fi
	@$(BIN)/python -m pytest -q -rs -m interop tests/interop

deploy-check: ## install as deploy/Dockerfile does, serve from what is read-only, stop: half a minute
	@PYTHON=$(PYTHON) deploy/check.sh

conformance: $(VENV)/dev.stamp ## write docs/conformance.md anew, from the table that tests it
	@$(BIN)/python -m tests.conformance.page

log-page: $(VENV)/dev.stamp ## write the tables of docs/logging.md anew, from docs/log-schema.json
	@$(BIN)/python -m tests.logging_page

lock: $(VENV)/dev.stamp ## write the lock files anew (needs uv on the PATH)
	@command -v uv >/dev/null || { echo "uv is needed: pip install uv"; exit 1; }
	uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 \
		--group build pyproject.toml -o deploy/requirements.lock
	uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 \
		-c deploy/requirements.lock --group build --group dev pyproject.toml -o deploy/requirements-dev.lock
	uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 \
		--group bench -o bench/peers/requirements.lock
	uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 \
		-c deploy/requirements.lock --extra otel pyproject.toml -o deploy/requirements-otel.lock

clean: ## remove what the other targets made
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* *.egg-info \
		.bench tests/interop/node_modules bench/peers/node_modules
