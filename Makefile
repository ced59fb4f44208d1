# Two commands: `make repro` runs the pipeline, `make test` runs the tests. Both create the environment if it is missing.
PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := $(CURDIR)/.venv
READY := $(VENV)/.ready
# DVC starts the stages as `python`, so the environment's python must come first.
export PATH := $(VENV)/bin:$(PATH)
export VIRTUAL_ENV := $(VENV)

.PHONY: repro test test-fast lint env
.DEFAULT_GOAL := help

help:  ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

repro: $(READY)  ## run the pipeline (dvc repro) and print the main results
	python -m finprint check
	dvc repro
	@python -m finprint headline

# About half of the time: DVC in temporary clones, and the benches.
LONG := tests/test_end_to_end.py tests/test_bench.py

# One thread each: threads that wait for a core that the other half has cost four times the time.
test: export OMP_NUM_THREADS := 1
test: $(READY)  ## run all tests; the longest ones run beside the others
	@mkdir -p .cache
	python -m pytest $(LONG) > .cache/long_tests.txt 2>&1 & beside=$$!; \
	python -m pytest $(LONG:%=--ignore=%); rest=$$?; \
	wait $$beside; long=$$?; cat .cache/long_tests.txt; exit $$((rest | long))

test-fast: $(READY)  ## run the fast tests: no trainings, no browser, no cluster
	python -m pytest -m "not heavy" $(LONG:%=--ignore=%)

lint: $(READY)  ## check style and types
	ruff check .
	ruff format --check .
	mypy

env: $(READY)  ## create the environment (.venv) and nothing else

# The lock is complete, so nothing needs to be resolved. --no-deps also keeps out opencv-python: opencv-python-headless
# takes its place, because it needs no display libraries.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("finprint needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	python -m pip install --quiet uv==$(UV_VERSION)
	uv pip install --quiet --no-deps --compile-bytecode --requirement requirements.lock
	uv pip install --quiet --no-deps --editable .
	touch $@
