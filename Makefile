# Two commands: `make demo` builds a verified network for a Raspberry Pi 4, `make test` runs every check.
VENV ?= .venv
export VENV

.PHONY: help setup demo test bench-artifacts clean
help:
	@echo 'make demo   set up what is missing, build for raspberry-pi-4, verify it, open out/raspberry-pi-4/report.html'
	@echo 'make test   set up what is missing, run lint, types, architecture and tests'
	@echo 'make setup  only set up'
	@echo 'make bench-artifacts   compare every tool'\''s artifacts (hours), write docs/benchmarks/artifacts.md; NETS=3 for a quick run'

setup:
	@bash scripts/setup.sh

demo: setup
	@$(VENV)/bin/ofa-edge build --target raspberry-pi-4

test: setup
	@bash scripts/check.sh

NETS ?= 12
bench-artifacts: setup
	@for step in convert check count measure record; do \
		$(VENV)/bin/python benchmarks/artifacts.py $$step --nets $(NETS) || exit 1; done
	@mkdir -p runs docs/benchmarks
	@$(VENV)/bin/python benchmarks/artifacts.py table > runs/artifacts.md && mv runs/artifacts.md docs/benchmarks/artifacts.md

clean:
	rm -rf out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
