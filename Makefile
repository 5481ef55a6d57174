# Two commands: `make demo` builds a verified network for a Raspberry Pi 4, `make test` runs every check.
VENV ?= .venv
export VENV

.PHONY: help setup demo test apk test-android clean
help:
	@echo 'make demo          set up what is missing, build for raspberry-pi-4, verify it, open out/raspberry-pi-4/report.html'
	@echo 'make test          set up what is missing, run lint, types, architecture and tests'
	@echo 'make apk           fetch what is missing, build the Android app with the bundled models (docs/android.md)'
	@echo 'make test-android  fetch what is missing, run the tests of the Android app'
	@echo 'make setup         only set up'

setup:
	@bash scripts/setup.sh

demo: setup
	@$(VENV)/bin/ofa-edge build --target raspberry-pi-4

test: setup
	@bash scripts/check.sh

apk: setup
	@$(VENV)/bin/python android_demo/tools/build_apk.py

test-android: setup
	@$(VENV)/bin/python android_demo/tools/fetch_toolchain.py --tests
	@OFA_EDGE_ANDROID_REQUIRED=1 $(VENV)/bin/pytest -n $${JOBS:-2} --dist loadfile tests/android

clean:
	rm -rf out build dist android_demo/build .mypy_cache .ruff_cache .pytest_cache .hypothesis
