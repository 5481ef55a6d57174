"""What holds for every test; and the order of files under xdist: a long one that starts last has nobody beside it."""

import os
import tempfile

import pytest

# Files that take a minute or have a fixture that does, then rooms by what their files take; the rest are short.
_FIRST = ("android", "docs", "workflows", "training", "export", "device", "testing", "cli", "api")

# One thread a process: the suite runs in several processes, and torch's threads would wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
# No two processes of the suite keep each other off this machine as a device.
os.environ["OFA_EDGE_LEASES"] = tempfile.mkdtemp(prefix="ofa-test-")
# No test reads or writes the user's own tuning database.
os.environ["OFA_EDGE_TUNE_DB"] = f"{tempfile.mkdtemp(prefix='ofa-test-')}/tuning.json"
# Nor the user's devices, nor the key of their names.
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="ofa-test-")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Rooms of long files first; the order inside of each stays."""
    tests = config.rootpath / "tests"

    def place(item: pytest.Item) -> int:
        room = item.path.relative_to(tests).parts[0] if item.path.is_relative_to(tests) else ""
        return _FIRST.index(room) if room in _FIRST else len(_FIRST)

    if os.environ.get("PYTEST_XDIST_WORKER"):
        items.sort(key=place)
