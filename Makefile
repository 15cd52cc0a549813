# One set-up for everything: .venv, made with $(PYTHON) from pyproject.toml and constraints.txt, and again when they change.
PYTHON ?= python3
PORT ?= 5000
ARMS ?= main
SEEDS ?= 17,18,19
COUNT ?= 50
SEED ?= 1
FUZZ ?= 60
ROWS ?= ../shared/data/papers.jsonl.gz

SHELL := /bin/bash
BIN := $(CURDIR)/.venv/bin
INSTALLED := .venv/.installed

# `python` in dvc.yaml is the one of .venv
export PATH := $(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
# the UI without the job queue needs a third of the memory
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false

.DEFAULT_GOAL := help
.PHONY: help repro report ablation bench faults fuzz scale audit test check fast ui lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

repro: $(INSTALLED) ## Set up if needed, then run every stage whose code, params or data changed
	@breviary mend
	dvc repro
	@breviary sync
	@breviary report

report: $(INSTALLED) ## Make reports/index.html again, and show it
	breviary report --open

ablation: $(INSTALLED) ## What each method is worth: hours; ARMS=main SEEDS=17,18,19; can be stopped and started again
	python -m bench.ablation run --arms $(ARMS) --seeds $(SEEDS)
	python -m bench.ablation report --arms $(ARMS) --seeds $(SEEDS)

bench: $(INSTALLED) ## Speed and memory beside TRL and PEFT, and what each stage grows with: an hour; ROWS=FILE.jsonl.gz
	python -m pip install --quiet --constraint constraints.txt --editable '.[dev,bench,faiss]'
	python -m bench.training $(ROWS)
	python -m bench.costs

faults: $(INSTALLED) ## Break the pipeline on purpose and see that it recovers: hours; COUNT=50 SEED=1
	python -m bench.faults --count $(COUNT) --seed $(SEED)

fuzz: $(INSTALLED) ## Search every reader for inputs that crash it: FUZZ=60 seconds of a processor for each
	python -m pip install --quiet --constraint constraints.txt --editable '.[dev,fuzz]'
	python -m bench.fuzz --seconds $(FUZZ)

scale: $(INSTALLED) ## The tables of docs/SCALE.md, from their formulae
	python -m bench.scale --write

audit: $(INSTALLED) ## Known vulnerabilities of what is pinned; asks the package index
	pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

test: $(INSTALLED) ## Set up if needed, then run the whole test suite
	python -m pytest -q

check: $(INSTALLED) ## Format, lint, types, import contracts, tests: what CI asks for
	ruff format --check .
	ruff check .
	pyright
	lint-imports
	python -m pytest -q

fast: $(INSTALLED) ## The tests that each take under a second, a minute or two together
	python -m pytest -q -m "not slow"

ui: $(INSTALLED) ## The MLflow UI of this project's runs, on localhost (PORT=5000)
	@test -f .mlflow/mlflow.db || { echo "no runs yet: .mlflow/mlflow.db comes with the first 'make repro'" >&2; exit 2; }
	mlflow server --host 127.0.0.1 --port $(PORT) --workers 1 --allowed-hosts localhost:$(PORT),127.0.0.1:$(PORT) \
	    --backend-store-uri "sqlite:///$(CURDIR)/.mlflow/mlflow.db"

lock: .venv/bin/python ## Pin all transitive dependencies again (UPGRADE=1 takes the newest that pyproject.toml admits)
	python -m pip install --quiet --constraint constraints.txt pip-tools
	pip-compile --quiet $(if $(UPGRADE),--upgrade) --all-extras --strip-extras --allow-unsafe --no-header --no-annotate \
	    --no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o constraints.txt pyproject.toml
	python tools/portable.py constraints.txt

clean: ## Remove .venv and the workspace's outputs; keep what is dear: .dvc/cache and .mlflow
	rm -rf .venv .fuzz .pytest_cache .ruff_cache .import_linter_cache .hypothesis src/*.egg-info
	find src stages tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
	git clean -fdXq data models reports

$(INSTALLED): pyproject.toml constraints.txt | .venv/bin/python
	python -m pip install --quiet --constraint constraints.txt pip setuptools
	python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	python tools/plots.py
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	    echo "Python 3.11, 3.12 or 3.13 is needed, '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing):" \
	         "make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv .venv
