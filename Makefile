# Everything a newcomer needs: Python 3.11 or newer, and make. `make` alone lists the targets.
# PYTHON=python3.12  another interpreter      VENV=/tmp/v  another environment
# ARGS="-k word"     more arguments to pytest LAB=required lab tests that cannot run fail
# JOBS=0             tests one after the other  KUBE=older   an older Kubernetes in the lab

PYTHON ?= python3
VENV ?= .venv
LAB ?= auto
ARGS ?=
JOBS ?= auto
KUBE ?= newest
FUZZ ?= 180
DEMO := sample:k8s-snap-two-containerds
DEMO_CAUSE := runtime/toolkit-configured-other-containerd

# Hundreds of tests start their own Python: without the cache each would compile this package again.
unexport PYTHONDONTWRITEBYTECODE

BIN := $(VENV)/bin
QUIET_PIP := pip -qq --disable-pip-version-check
PIP := $(BIN)/python -m $(QUIET_PIP)
PIN := $(VENV)/requirements/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--no-build --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements"
fresh_environment = rm -rf $(1) && echo "creating $(1) ..." && $(BIN)/python -m venv $(1)

# A test that hangs ends the run with its stack; the longest takes some seconds.
STUCK := -o faulthandler_timeout=300 -o faulthandler_exit_on_timeout=true
UNIT := -q -n $(JOBS) --dist loadfile --ignore=tests/lab $(STUCK)

.PHONY: help demo test test-unit test-lab test-oldest test-newest test-matrix test-plugins seeded-faults hostile fuzz lint docs wheel-check requirements ci clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

demo: $(VENV)/ready ## judge a recorded cluster that is broken: shows the cause and the fix
	@$(BIN)/pytest --gpu-cluster=$(DEMO) --gpu-report=$(VENV)/demo.json $(ARGS); status=$$?; \
	if [ $$status -eq 1 ] && grep -q '"$(DEMO_CAUSE)"' $(VENV)/demo.json; then \
		echo; echo "make demo: as expected, the recorded cluster fails: $(DEMO_CAUSE)"; \
	else \
		echo "make demo: expected exit code 1 and $(DEMO_CAUSE), got exit code $$status" >&2; exit 1; \
	fi

test: test-unit test-lab ## run all tests; without root or Debian the lab tests are left out, and it says so

test-unit: $(VENV)/ready-test ## the tests that need only Python
	@$(BIN)/pytest $(UNIT) $(ARGS)

# Not in parallel: they share one cluster, and its daemons are the load.
test-lab: $(VENV)/ready-test ## the tests on real containerds and a real Kubernetes (root, Debian)
	@KUBE=$(KUBE) PYTEST_GPU_LAB=$(LAB) $(BIN)/pytest -q tests/lab $(ARGS)

test-oldest: $(VENV)/ready-test ## the unit tests with the oldest versions that the metadata allows
	@$(BIN)/python tests/project/oldest.py >$(VENV)/oldest.txt
	@$(call fresh_environment,$(VENV)/oldest)
	@$(VENV)/oldest/bin/python -m $(QUIET_PIP) install --requirement $(VENV)/oldest.txt
	@$(VENV)/oldest/bin/python -m $(QUIET_PIP) install --no-deps --no-build-isolation --editable .
	@$(VENV)/oldest/bin/python -m pip check
	@cat $(VENV)/oldest.txt
	@$(VENV)/oldest/bin/pytest $(UNIT) $(ARGS)

# pip before 25.1 does not support dependency groups; here pip is the newest, too.
test-newest: | $(BIN)/python ## the unit tests with the newest version of everything, pinned or not
	@$(call fresh_environment,$(VENV)/newest)
	@$(VENV)/newest/bin/python -m $(QUIET_PIP) install --upgrade pip
	@$(VENV)/newest/bin/python -m $(QUIET_PIP) install --upgrade --upgrade-strategy eager --editable '.[all]' --group test
	@$(VENV)/newest/bin/python -m pip list --format freeze --exclude-editable
	@$(VENV)/newest/bin/pytest $(UNIT) $(ARGS)

test-matrix: | $(BIN)/python ## the unit tests on every Python found, 3.11 to 3.14
	@$(BIN)/python tests/project/matrix.py $(VENV)/matrix $(ARGS)

seeded-faults: $(VENV)/ready-test ## put small faults into the product, one by one; the tests must notice each
	@$(BIN)/python tests/project/seeded_faults.py $(ARGS)

# Each input is a run of its own, so they are not tests: together they would be most of the tests' time.
hostile: $(VENV)/ready-test ## give pytest-gpu hundreds of hostile inputs, end to end; none may hurt
	@$(BIN)/python -m tests.hostile --jobs $(JOBS) $(ARGS)

# By hand, not in CI: it finds what no example shows, and never ends by itself.
fuzz: $(VENV)/ready-test $(VENV)/ready-fuzz ## feed every parser made-up texts for FUZZ seconds (default 180)
	@$(BIN)/python -m tests.linear.fuzz -max_total_time=$(FUZZ) $(ARGS)

lint: $(VENV)/ready-lint ## ruff and mypy --strict over everything
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

docs: $(VENV)/ready-docs ## build the documentation into site/; warnings are errors
	@$(BIN)/mkdocs build --strict >$(VENV)/docs.log 2>&1 || { cat $(VENV)/docs.log; exit 1; }
	@echo "site/index.html"

wheel-check: $(VENV)/ready-lint ## the shipped suite, run from the built wheel in fresh environments
	@$(BIN)/python tests/project/wheel_check.py $(ARGS)

test-plugins: $(VENV)/plugins/ready ## the same verdicts beside pytest-asyncio, -cov, -html, -randomly, ...
	@$(VENV)/plugins/bin/python -m tests.project.plugins_check

# uv resolves for all Pythons and systems at once; pip only for the one that it runs on.
requirements: | $(BIN)/python ## pin the newest versions in requirements/, with hashes
	@$(call fresh_environment,$(VENV)/requirements)
	@$(VENV)/requirements/bin/python -m $(QUIET_PIP) install uv
	@$(PIN) --all-extras --group build --output-file requirements/run.txt pyproject.toml
	@$(PIN) --constraints requirements/run.txt --output-file requirements/lint.txt --group lint
	@$(PIN) --constraints requirements/run.txt --constraints requirements/lint.txt --output-file requirements/test.txt --group test
	@$(PIN) --constraints requirements/run.txt --constraints requirements/lint.txt --output-file requirements/docs.txt --group docs
	@$(PIN) --constraints requirements/run.txt --constraints requirements/test.txt --output-file requirements/plugins.txt --group plugins
	@$(PIN) --output-file requirements/fuzz.txt --group fuzz
	@git diff --stat requirements

ci: ## what CI runs
	@.ci/run

clean: ## remove what the other targets created
	rm -rf $(VENV) site build dist *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "creating $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

# Most installed modules are never imported: Python compiles a module when it is imported.
$(VENV)/ready: pyproject.toml requirements/run.txt | $(BIN)/python
	@echo "installing pytest-gpu[all], with the versions of requirements/run.txt, into $(VENV) ..."
	@$(PIP) install --no-compile --require-hashes --requirement requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/ready-%: requirements/%.txt $(VENV)/ready
	@echo "installing requirements/$*.txt into $(VENV) ..."
	@$(PIP) install --no-compile --require-hashes --requirement $<
	@touch $@

# An environment of its own: these plugins load in every pytest run.
$(VENV)/plugins/ready: pyproject.toml requirements/run.txt requirements/plugins.txt | $(BIN)/python
	@$(call fresh_environment,$(VENV)/plugins)
	@$(VENV)/plugins/bin/python -m $(QUIET_PIP) install --no-compile --require-hashes \
		--requirement requirements/run.txt --requirement requirements/plugins.txt
	@$(VENV)/plugins/bin/python -m $(QUIET_PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
