"""Builds that are killed, or find no room for a file: run again, they leave the same bytes.

Each begins with the longest stages made, so that it takes seconds; `make disturb` does the same widely.
"""

import resource
import shutil
import signal

import pytest
from disturbing import LONG, Bench, Blow, Place, build_here, left, said, words
from tiny_runs import ended, start


@pytest.fixture(scope="module")
def bench(first, package, tmp_path_factory):
    """What a build leaves that nobody disturbs, with the stages of the first build at hand."""
    place = Place(tmp_path_factory.mktemp("undisturbed"))
    bench = Bench(package, place, {})
    shutil.copytree(first[0].parent / "cache", place.folder / "cache")
    assert ended(bench.start(place)) == 0
    return Bench(package, place, left(place.out))


@pytest.fixture
def place(bench, tmp_path):
    place = Place(tmp_path / "trial")
    place.folder.mkdir()
    bench.warm(place, LONG)
    return place


@pytest.mark.parametrize(
    "blow",
    [
        Blow(signal.SIGKILL, 1.0),
        Blow(signal.SIGTERM, 1.5),
        Blow(signal.SIGINT, 0.7),
        Blow(signal.SIGINT, 0.1, alone=True),
    ],
    ids=str,
)
def test_a_build_that_was_killed(bench, place, blow):
    _, faults = bench.killed(place, blow)
    assert faults == []


def with_small_files(package, place, most):
    """The target of a process: a build in which no file may be larger."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    build_here(package, place)


@pytest.mark.parametrize("most", [20_000, 500_000])
def test_a_build_that_may_write_no_large_files(bench, place, most):
    """As on a full disk: something cannot be written, at one place or another."""
    process = start(
        with_small_files,
        str(bench.package),
        str(place.folder),
        most,
        output=said(place),
        env=place.environment,
    )
    assert ended(process) == 2, words(place)
    assert bench.finish(place) == []
