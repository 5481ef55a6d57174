#!/usr/bin/env bash
# All checks, the same here and in CI: lint, format, types, the floors of the house, tests.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/${VENV:-.venv}/bin:$PATH"

ruff check .
ruff format --check .
mypy
mypy android_demo/tools
mypy --config-file benchmarks/mypy.ini
lint-imports
# The Android app's tests (make test-android) run where their toolchain is, or can be fetched; elsewhere they are skipped.
if python android_demo/tools/fetch_toolchain.py --tests >/dev/null; then
    export OFA_EDGE_ANDROID_REQUIRED=1
else
    echo "check: the tests of the Android app are skipped (see above)" >&2
fi
exec pytest -n "${JOBS:-2}" --dist loadfile --no-loadscope-reorder "$@"  # in the order of tests/conftest.py
