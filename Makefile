# Two commands: `make demo` builds a verified network for a Raspberry Pi 4, `make test` runs every check.
VENV ?= .venv
export VENV

.PHONY: help setup demo test clean
help:
	@echo 'make demo   set up what is missing, build for raspberry-pi-4, verify it, open out/raspberry-pi-4/report.html'
	@echo 'make test   set up what is missing, run lint, types, architecture and tests'
	@echo 'make setup  only set up'

setup:
	@bash scripts/setup.sh

demo: setup
	@$(VENV)/bin/ofa-edge build --target raspberry-pi-4

test: setup
	@bash scripts/check.sh

clean:
	rm -rf out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
