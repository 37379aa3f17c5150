# One door for people and for continuous integration. `make help` lists what there is.
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash

bin := .venv/bin
python := $(bin)/python
# which tests the time goes into is shown at the end of every run
durations := --durations=20 --durations-min=2
# one worker more than CPUs, as many tests wait; which tests go together, and in which order, is in tests/conftest.py
workers := -n $(shell expr $$(nproc) + 1) --no-loadscope-reorder

.PHONY: help setup guests monitoring quickstart test test-slow fault-matrix lint tidy types bench bench-native docs check lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

setup: ## Debian packages, .venv from the lock, bin/orch, the native bundle; again: only what changed
	@.ci/setup

guests: ## an emulator and a kernel, for tests on NUMA machines that we do not have; part of test-slow
	@.ci/setup guests

monitoring: setup ## a Prometheus, for the test that lets it scrape a run; part of test-slow
	@.ci/setup monitoring

quickstart: setup ## set up, then run the main job on this machine (under a minute)
	$(bin)/orch run playbook playbooks/quickstart.yml

test: setup lint types ## set up, lint, types, and every test that takes seconds
	$(python) -m pytest -m "not slow" $(workers) $(durations)

test-slow: setup guests monitoring ## the tests that take minutes
	$(python) -m pytest -m slow $(durations)

# what the scenes share with the tests of runs lies there
fault-matrix: setup ## what befalls runs, as a table (tens of minutes); scenes="ends rack": those alone; scenes=--pairs: what is tried
	@PYTHONPATH=tests/run $(python) tests/faults/matrix.py $(scenes)

lint: setup ## ruff, the import contracts of the floors, the edge rule of the C sources
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/lint-imports
	$(python) native/tools/check_edges.py

tidy: setup ## clang-tidy over the C sources that changed since it last had no findings; part of test-slow
	$(python) native/tools/check_tidy.py

types: setup ## mypy --strict on source and tests
	$(bin)/mypy

bench: setup ## measure the program itself: start-up, planning, what orch costs a bench
	@for script in bench/*.py; do echo "== $$script"; $(python) $$script || exit; done

# A missed or undecided target is the run's verdict (1 or 3), and a figure all the same.
bench-native: setup ## measure the native code beside its baseline and other libraries (minutes); docs/OPTIMIZATION_RESULTS.md
	@$(bin)/orch run playbook playbooks/optimization.yml; status=$$?; [[ $$status =~ ^[013]$$ ]] || exit $$status; \
	$(python) -m orchestrator.report.optimization --write docs/OPTIMIZATION_RESULTS.md

docs: setup ## write the generated reference pages anew and check every link
	$(python) docs/generate.py
	$(python) -m pytest -q tests/house/test_docs.py

check: setup lint types ## everything but the tests: lint, types, and that the documentation is current
	$(python) -m pytest -q tests/house

lock: ## resolve the dependencies anew into .ci/requirements.lock
	@.ci/lock

clean: ## remove what these targets made (.venv, builds, caches); runs/ is kept
	rm -rf .venv .stamps native/build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find agents orchestrator tests -name __pycache__ -type d -prune -exec rm -rf {} +
