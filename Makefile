# Two commands: `make demo` builds a verified network for a Raspberry Pi 4, `make test` runs every check.
VENV ?= .venv
export VENV

.PHONY: help setup demo test docs fuzz disturb apk test-android bench-artifacts records clean
help:
	@echo 'make demo             set up what is missing, build for raspberry-pi-4, verify it, open out/raspberry-pi-4/report.html'
	@echo 'make test             set up what is missing, run lint, types, architecture and tests'
	@echo 'make fuzz             change small files for ten minutes of computing and read them by every reader (docs/security.md); MINUTES=1: less'
	@echo 'make disturb          kill builds at 20 moments, fill their disk at 20 sizes, run them again (docs/security.md)'
	@echo 'make docs             build the documentation as a site into out/site'
	@echo 'make apk              fetch what is missing, build the Android app with the bundled models (docs/android.md)'
	@echo 'make test-android     fetch what is missing, run the tests of the Android app'
	@echo 'make bench-artifacts  compare the artifacts of several tools (hours), write docs/benchmarks/artifacts.md and rivals.md; NETS=3: fewer'
	@echo 'make records          say which recorded figures are older than the code that they measure'
	@echo 'make setup            only set up what make demo needs; starts no service'

setup:
	@bash scripts/setup.sh

demo: setup
	@$(VENV)/bin/ofa-edge build --target raspberry-pi-4

test:
	@bash scripts/setup.sh tests
	@bash scripts/check.sh

MINUTES ?= 10
SEED ?= 0
fuzz: setup
	@PYTHONPATH=$(CURDIR) $(VENV)/bin/python tests/support/fuzzing.py --minutes $(MINUTES) --seed $(SEED)

disturb: setup
	@PYTHONPATH=$(CURDIR) $(VENV)/bin/python tests/support/disturbing.py --seed $(SEED)

docs: setup
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet && echo 'wrote out/site/index.html'

apk: setup
	@$(VENV)/bin/python android_demo/tools/build_apk.py

test-android:
	@bash scripts/setup.sh tests
	@$(VENV)/bin/python android_demo/tools/fetch_toolchain.py --tests
	@OFA_EDGE_ANDROID_REQUIRED=1 $(VENV)/bin/pytest -n $${JOBS:-2} --dist loadfile tests/android

NETS ?= 12
bench-artifacts: setup
	@for step in convert check count measure record; do \
		$(VENV)/bin/python benchmarks/artifacts.py $$step --nets $(NETS) || exit 1; done
	@mkdir -p runs docs/benchmarks
	@$(VENV)/bin/python benchmarks/artifacts.py table > runs/artifacts.md && mv runs/artifacts.md docs/benchmarks/artifacts.md
	@$(VENV)/bin/python -c 'import timm' || { echo 'the networks of others are left out: install timm, and the torchvision that fits'; exit 1; }
	@for step in convert time count; do \
		$(VENV)/bin/python benchmarks/rivals.py $$step --work runs/bench-artifacts || exit 1; done
	@$(VENV)/bin/python benchmarks/rivals.py table > runs/rivals.md && mv runs/rivals.md docs/benchmarks/rivals.md

records:
	@python3 benchmarks/records.py

clean:
	rm -rf out build dist android_demo/build .mypy_cache .ruff_cache .pytest_cache .hypothesis
