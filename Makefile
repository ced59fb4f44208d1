# Two commands: `make repro` runs the pipeline, `make test` the tests. Both make the environment if it is missing.
PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := $(CURDIR)/.venv
READY := $(VENV)/.ready
# DVC starts the stages by the name `python`: it must be the environment's.
export PATH := $(VENV)/bin:$(PATH)
export VIRTUAL_ENV := $(VENV)

.PHONY: repro test test-fast lint env
.DEFAULT_GOAL := help

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

repro: $(READY)  ## run the pipeline (dvc repro) and print its figures
	python -m finprint check
	dvc repro
	@python -m finprint headline

test: $(READY)  ## all tests; the end-to-end ones run DVC in temporary clones
	python -m pytest

test-fast: $(READY)  ## the tests that take a couple of minutes
	python -m pytest -m "not slow"

lint: $(READY)  ## style and types
	ruff check .
	ruff format --check .
	mypy

env: $(READY)  ## the environment alone

# The lock is complete, so nothing is resolved: --no-deps also keeps out opencv-python, whose place
# opencv-python-headless takes (it needs no display libraries).
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("finprint needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	python -m pip install --quiet uv==$(UV_VERSION)
	uv pip install --quiet --no-deps --compile-bytecode --requirement requirements.lock
	uv pip install --quiet --no-deps --editable .
	touch $@
