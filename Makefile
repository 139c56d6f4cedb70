# make demo    a private Postfix, Tidegate, real messages, one table of what happened
# make test    the checks and all tests, end to end on a real Postfix included
# make check   ruff, mypy, the law of imports
# make bench   speed and memory, beside a C milter that does nothing; writes bench/results.json
# make soak    the same mail for a long time, with faults
# make mutation   every entry of a policy damaged in every way, under a running daemon
# make fuzz    hostile bytes for the reader, the milter callbacks, replies and headers, guided by coverage
# make deb     the Debian package of the last commit, into dist/
# make deb-test     builds it in a throw-away root of this machine's release, installs it there and tries it on a Postfix
# make deb-matrix   Debian 12 and 13: built twice, lintian, installed, upgraded, removed, purged, without systemd, …
# make deb-systemd  Debian 12 and 13 booted: killed, restarted and upgraded while mail flows
# make docs    the reference, from the registries
# make clean   what the above left behind
#
# All of them install what is missing (Debian 12 or 13) as root, and print the one command to run otherwise. Without root
# `make check` and `make deb` run where nothing is missing.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test check e2e bench deb deb-test deb-matrix deb-systemd docs soak mutation fuzz clean packages

# Debian's interpreter: the one that python3-milter was built for, whatever else is first in PATH.
SYSTEM_PYTHON := /usr/bin/python3
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.ready
# The packages in milter/ and the tests, and nothing of the caller's environment.
RUN := env -u PYTHONHOME PYTHONPATH=milter:. PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1
# In somebody else's checkout (`sudo make test`) no caches are left that the owner's next `make check` could not write.
ifneq ($(shell [ -O Makefile ] && echo own),own)
export MYPY_CACHE_DIR := /dev/null
export RUFF_NO_CACHE := true
export PYTEST_ADDOPTS := -p no:cacheprovider
endif

help:
	@sed -n 's/^# make/make/p' Makefile

demo:
	@sh tests/setup/install.sh demo
	@$(RUN) $(SYSTEM_PYTHON) -m tests.demo

packages:
	@sh tests/setup/install.sh test

$(STAMP): tests/setup/requirements-dev.txt
	@sh tests/setup/install.sh check
	@$(SYSTEM_PYTHON) -m venv --system-site-packages $(VENV)
	@if $(PYTHON) -m pip install --quiet --disable-pip-version-check --retries 1 -r $<; then touch $@; else \
	    echo 'pip could not install $<: the tests run with Debian'\''s pytest, ruff and mypy are left out' >&2; \
	    sh tests/setup/install.sh offline; \
	fi
	@[ -O Makefile ] || chown -R --reference=Makefile $(VENV)

# Tests mostly wait, so there are more of them than CPUs. JOBS=0 runs them one after the other, and so does a machine
# without pytest-xdist.
JOBS := $(shell echo $$(( $$(nproc) * 2 )))

test: packages $(STAMP)
	@if [ -x $(VENV)/bin/ruff ] && [ -x $(VENV)/bin/mypy ]; then $(MAKE) --no-print-directory check; \
	else echo 'NOT CHECKED: ruff and mypy are not installed' >&2; fi
	@if $(PYTHON) -c 'import xdist' 2>/dev/null; then parallel='-n $(JOBS) --dist loadgroup'; \
	else echo 'pytest-xdist is not installed: one test after the other' >&2; fi; \
	$(RUN) $(PYTHON) -m pytest $$parallel $(TESTS)

check: $(STAMP)
	@[ -x $(VENV)/bin/ruff ] && [ -x $(VENV)/bin/mypy ] || { \
	    echo 'make check needs ruff and mypy, and pip could not install them; the reason stands above' >&2; exit 2; }
	$(VENV)/bin/ruff check milter tests bench docs
	$(VENV)/bin/ruff format --check milter tests bench docs
	$(VENV)/bin/mypy
	@$(RUN) $(PYTHON) -m pytest -q tests/test_layout.py

e2e: packages $(STAMP)
	@$(RUN) $(PYTHON) -m pytest tests/e2e

bench: $(STAMP)
	@sh tests/setup/install.sh bench
	@sh tests/setup/install.sh rival || echo 'without rspamd' >&2
	@$(MAKE) --no-print-directory bench/build/noop bench/build/miltload
	@$(RUN) $(PYTHON) bench/run.py $(BENCH)
	@$(RUN) $(PYTHON) bench/limits.py $(filter --quick,$(BENCH))
	@$(RUN) $(PYTHON) bench/propagation.py $(filter --quick,$(BENCH))

deb:
	@sh tests/setup/install.sh deb
	@sh debian/build.sh

deb-test: packages $(STAMP)
	@sh tests/setup/install.sh roots
	@TIDEGATE_PACKAGE=1 $(RUN) $(PYTHON) -m pytest tests/debian

deb-matrix deb-systemd:
	@sh tests/setup/install.sh roots
	@$(RUN) $(SYSTEM_PYTHON) -m tests.debian $(@:deb-%=%) $(RELEASES)

docs: $(STAMP)
	@$(RUN) $(PYTHON) docs/reference.py

bench/build/%: bench/%.c
	@mkdir -p $(@D)
	gcc -O2 -Wall -Wextra -pthread -o $@ $< -lmilter

soak: packages $(STAMP)
	@$(RUN) $(PYTHON) -m tests.soak $(SOAK)

mutation: packages $(STAMP)
	@$(RUN) $(PYTHON) -m tests.mutation $(MUTATION)

fuzz: packages $(STAMP)
	@$(RUN) $(PYTHON) -m tests.fuzz $(FUZZ)

clean:
	rm -rf $(VENV) build dist debian/made bench/build bench/results*.json .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf *.egg-info milter/*.egg-info
	find milter tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
