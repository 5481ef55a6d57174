#!/usr/bin/env bash
# All checks, the same here and in CI: lint, format, types, the floors of the house, tests.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/${VENV:-.venv}/bin:$PATH"

ruff check .
ruff format --check .
mypy
lint-imports
exec pytest -n "${JOBS:-2}" --dist loadfile "$@"
