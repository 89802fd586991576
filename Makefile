.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

help:  ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(VENV)/.ready: requirements-dev.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $@

setup: $(VENV)/.ready  ## make .venv with everything, the portal command in it

run: setup  ## set up and start the portal with sample data on http://127.0.0.1:8000
	$(BIN)/portal demo

test: setup  ## set up and run the tests
	$(BIN)/python -m pytest -n auto --dist worksteal

check: setup  ## formatter, linter, types, import rules, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/djlint --lint --quiet templates

format: setup  ## format the code and the templates
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/.bench: requirements-bench.lock $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	touch $@

bench: $(VENV)/.bench  ## benchmarks, as ratios to a floor (and to the peers) measured in the same run
	$(BIN)/python -m pytest tests/benchmarks -m benchmark -q -s

chaos: setup  ## kill processes, broker and database under load; ROUNDS=20 in each shape, KILLS=5 in each round, SEED=any
	$(BIN)/python -m tests.chaos --rounds $(or $(ROUNDS),20) --kills $(or $(KILLS),5) $(if $(SEED),--seed $(SEED))

lock:  ## renew the lock files from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-annotate -q -o requirements-dev.lock
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate -q -c requirements-dev.lock -o requirements.lock
	uv pip compile pyproject.toml --extra bench --universal --python-version 3.11 --generate-hashes --no-annotate -q -c requirements-dev.lock -o requirements-bench.lock

clean:  ## remove the virtual environment and the local data
	rm -rf $(VENV) var

.PHONY: help setup run test check format bench chaos lock clean
