# Everything a newcomer needs: Python 3.11 or newer, and make. `make` alone lists the targets.
# PYTHON=python3.12  another interpreter      VENV=/tmp/v  another environment
# ARGS="-k word"     more arguments to pytest LAB=required left-out lab tests fail
# JOBS=0             tests one after the other

PYTHON ?= python3
VENV ?= .venv
LAB ?= auto
ARGS ?=
JOBS ?= auto
DEMO := sample:k8s-snap-two-containerds
DEMO_CAUSE := runtime/toolkit-configured-other-containerd

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check

.PHONY: help demo test test-unit test-lab seeded-faults lint docs wheel-check ci clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(VENV)/ready ## judge a recorded cluster that is broken: the cause and the fix
	@$(BIN)/pytest --gpu-cluster=$(DEMO) --gpu-report=$(VENV)/demo.json $(ARGS); status=$$?; \
	if [ $$status -eq 1 ] && grep -q '"$(DEMO_CAUSE)"' $(VENV)/demo.json; then \
		echo; echo "make demo: as expected, the recorded cluster fails: $(DEMO_CAUSE)"; \
	else \
		echo "make demo: expected exit code 1 and $(DEMO_CAUSE), got exit code $$status" >&2; exit 1; \
	fi

test: test-unit test-lab ## run all tests; what needs root and Debian is left out loudly elsewhere

test-unit: $(VENV)/ready-test ## the tests that need nothing but Python
	@$(BIN)/pytest -q -n $(JOBS) --dist loadfile --ignore=tests/lab $(ARGS)

# One after the other: they share one cluster, and its daemons are the load.
test-lab: $(VENV)/ready-test ## the tests on real containerds and a real Kubernetes (root, Debian)
	@PYTEST_GPU_LAB=$(LAB) $(BIN)/pytest -q tests/lab $(ARGS)

seeded-faults: $(VENV)/ready-test ## small faults put into the product, one by one: a test must notice each
	@$(BIN)/python tests/seeded_faults.py $(ARGS)

lint: $(VENV)/ready-lint ## ruff and mypy --strict over everything
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

docs: $(VENV)/ready-docs ## build the documentation into site/, warnings are errors
	@$(BIN)/mkdocs build --strict >$(VENV)/docs.log 2>&1 || { cat $(VENV)/docs.log; exit 1; }
	@echo "site/index.html"

wheel-check: $(VENV)/ready-test ## the shipped suite, run from the built wheel in fresh environments
	@$(BIN)/python tests/wheel_check.py $(ARGS)

ci: ## what CI runs
	@.ci/run

clean: ## remove what the other targets made
	rm -rf $(VENV) site build dist *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'

# pip older than 25.1 knows no dependency groups; the environment has a newer one.
$(VENV)/ready: pyproject.toml | $(BIN)/python
	@echo "installing pytest-gpu[all] into $(VENV) ..."
	@$(PIP) install --editable '.[all]'
	@touch $@

$(VENV)/ready-%: pyproject.toml $(VENV)/ready
	@$(PIP) install --group $*
	@touch $@
