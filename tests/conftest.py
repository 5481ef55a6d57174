"""What holds for every test; and the order of files under xdist: a long one that starts last has nobody beside it."""

import os
import signal
import tempfile
from collections.abc import Iterator

import pytest
from shortened import shorten_sessions

# Files that take a minute or have a fixture that does, then rooms by what their files take; the rest are short.
# While one file of android/ builds the app, the other processes have other work than to wait for it.
_FIRST = (
    "android/test_apk.py",
    "docs/test_notebooks.py",
    "docs",
    "workflows",
    "android",
    "training",
    "export",
    "device",
    "testing",
    "cli",
    "api",
)

# One thread a process: the suite runs in several processes, and torch's threads would wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
# No two processes of the suite keep each other off this machine as a device.
os.environ["OFA_EDGE_LEASES"] = tempfile.mkdtemp(prefix="ofa-test-")
# No test reads or writes the user's own tuning database.
os.environ["OFA_EDGE_TUNE_DB"] = f"{tempfile.mkdtemp(prefix='ofa-test-')}/tuning.json"
# Nor the user's devices, nor the key of their names.
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="ofa-test-")

# A shell that starts the suite in the background has it ignore Ctrl-C, which tests send: they would wait for good.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _short_sessions() -> Iterator[None]:
    """What a build measures on this machine takes a moment."""
    with pytest.MonkeyPatch.context() as patch:
        shorten_sessions(patch)
        yield


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long files first; the order inside of each room stays."""
    first = [config.rootpath / "tests" / name for name in _FIRST]

    def place(item: pytest.Item) -> int:
        return next((number for number, path in enumerate(first) if item.path.is_relative_to(path)), len(first))

    if os.environ.get("PYTEST_XDIST_WORKER"):
        items.sort(key=place)
