"""What every connection must do, as tests to run against one: `pytest --pyargs ofa_edge.testing.connection_kit`.

`$OFA_EDGE_TEST_DEVICE` names the device: one of the devices file, of any kind, or a built-in one.
`$OFA_EDGE_TEST_TARGET` names the target whose core an emulated device takes (default: raspberry-pi-4).

In a package's own tests, without a devices file: take the tests over and say how to connect.

    from ofa_edge.testing.connection_kit import *  # noqa: F403

    @pytest.fixture(scope="module")
    def connect():
        return lambda: MyConnection("bench", port=7)

The device needs the tools of any Linux or Android: printf printenv seq sleep ls stat head uname, and those that the
connection itself uses. Nothing is left on it.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from ofa_edge.device.protocol import Connection
from ofa_edge.device.registry.devices_file import open_connection
from ofa_edge.errors import DeviceError, DeviceRunError, DeviceTimeoutError, OutputError
from ofa_edge.targets import load_target

DEVICE_VARIABLE = "OFA_EDGE_TEST_DEVICE"
TARGET_VARIABLE = "OFA_EDGE_TEST_TARGET"
_LIMIT_S = 60.0

# Arguments that a shell would read as something else, had they not been quoted.
WORDS = (
    "two words",
    "",
    "$HOME",
    "$(touch broken)",
    "`touch broken`",
    "; touch broken",
    "&& touch broken",
    "| cat",
    "> broken",
    "*",
    "~",
    "!!",
    "'single'",
    '"double"',
    "'\"'\"'",
    "back\\slash\\",
    "line\nbreak",
    "tab\there",
    "-rf",
    "--help",
    "%s%n",
    "#comment",
    "{a,b}",
    "ünï✓код",
)

Connect = Callable[[], Connection]


@pytest.fixture(scope="module")
def connect() -> Connect:
    """How to connect to the device under test; each call gives a connection of its own."""
    name = os.environ.get(DEVICE_VARIABLE)
    if not name:
        pytest.skip(f"no device is named: set {DEVICE_VARIABLE}")
    target = load_target(os.environ.get(TARGET_VARIABLE, "raspberry-pi-4"))

    def open_named() -> Connection:
        connection = open_connection(name, target)
        if connection is None:
            pytest.fail(f"{DEVICE_VARIABLE}={name} is no device")
        return connection

    return open_named


@pytest.fixture(scope="module")
def device(connect: Connect) -> Iterator[Connection]:
    """A connection that the tests share."""
    connection = connect()
    yield connection
    connection.close()


def test_it_has_a_name_a_kind_and_a_python(device: Connection) -> None:
    """Plain words: they are written into manifests."""
    assert device.name
    assert device.kind
    assert device.python
    assert all(isinstance(part, str) for part in device.python)


def test_arguments_arrive_as_they_left_and_run_nothing(device: Connection) -> None:
    """No shell on the way may read them."""
    said = device.run(["printf", "<%s>", *WORDS], _LIMIT_S).stdout
    assert said == "".join(f"<{word}>" for word in WORDS)


def test_environment_arrives_as_it_left(device: Connection) -> None:
    """Also values that a shell would read as something else."""
    given = {f"OFA_EDGE_KIT_{number}": value for number, value in enumerate(WORDS)}
    assert device.run(["printenv", *given], _LIMIT_S, given).stdout == "".join(f"{value}\n" for value in WORDS)


def test_a_program_that_fails_is_an_error_only_if_asked(device: Connection) -> None:
    """`check` decides; what the program said is told."""
    assert device.run(["false"], _LIMIT_S, check=False).returncode == 1
    with pytest.raises(DeviceRunError):
        device.run(["false"], _LIMIT_S)
    with pytest.raises(DeviceRunError) as caught:
        device.run(["ls", "/no/such/folder"], _LIMIT_S)
    assert "/no/such/folder" in caught.value.why
    with pytest.raises(DeviceRunError):
        device.run(["/no/such/program"], _LIMIT_S)


def test_the_two_outputs_stay_apart(device: Connection) -> None:
    """What goes to stderr must not land in the runner's line of JSON."""
    done = device.run(["ls", "/no/such/folder"], _LIMIT_S, check=False)
    assert done.returncode != 0
    assert done.stdout == ""
    assert "/no/such/folder" in done.stderr
    assert device.run(["printf", "out"], _LIMIT_S).stderr == ""


def test_output_larger_than_any_buffer_arrives_whole(device: Connection) -> None:
    """Latency samples are long."""
    lines = device.run(["seq", "1", "60000"], _LIMIT_S).stdout.split()
    assert lines == [str(number) for number in range(1, 60001)]


def test_a_limit_is_kept(device: Connection) -> None:
    """And the connection works afterwards."""
    start = time.monotonic()
    with pytest.raises(DeviceTimeoutError):
        device.run(["sleep", "300"], 1.0)
    assert time.monotonic() - start < 60
    assert device.run(["printf", "here"], _LIMIT_S).stdout == "here"


def test_calls_side_by_side_do_not_mix(device: Connection) -> None:
    """Shards of an accuracy pass run at the same time."""
    found: dict[int, str] = {}

    def call(number: int) -> None:
        found[number] = device.run(["printf", "%s", f"call {number}"], _LIMIT_S).stdout

    threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_LIMIT_S)
    assert found == {number: f"call {number}" for number in range(4)}


def test_another_thread_can_abort_a_call(connect: Connect) -> None:
    """As on Ctrl-C, and when another shard failed."""
    connection = connect()
    ended: list[Exception] = []

    def wait() -> None:
        try:
            connection.run(["sleep", "300"], 300)
        except DeviceError as error:
            ended.append(error)

    try:
        connection.run(["printf", "ready"], _LIMIT_S)
        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        deadline = time.monotonic() + _LIMIT_S
        while thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.2)
            connection.abort()
        assert not thread.is_alive()
        assert len(ended) == 1
    finally:
        connection.close()


def test_files_travel_whole(device: Connection, tmp_path: Path) -> None:
    """There and back, of any size, over an older file too; nothing but them is in the folder."""
    source, back = tmp_path / "source", tmp_path / "back"
    back.write_bytes(b"older")
    with device.workdir() as work:
        for size in (1_000_003, 0, 1):
            source.write_bytes(os.urandom(size))
            device.push(source, work / "data.bin")
            device.pull(work / "data.bin", back)
            assert back.read_bytes() == source.read_bytes()
        assert device.run(["ls", "-A", str(work)], _LIMIT_S).stdout.split() == ["data.bin"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "source"]


def test_the_executable_bit_travels(device: Connection, tmp_path: Path) -> None:
    """The TVM runner is a program."""
    source = tmp_path / "program"
    source.write_bytes(b"x")
    source.chmod(0o755)
    with device.workdir() as work:
        device.push(source, work / "program")
        mode = device.run(["stat", "-c", "%a", str(work / "program")], _LIMIT_S).stdout.strip()
    assert mode[-3] == "7"


def test_a_file_that_is_not_there_leaves_the_older_one_here(device: Connection, tmp_path: Path) -> None:
    """A pull is whole or absent."""
    back = tmp_path / "back"
    back.write_bytes(b"older")
    with device.workdir() as work, pytest.raises(DeviceError):
        device.pull(work / "missing", back)
    assert back.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["back"]


def test_paths_that_are_no_plain_names_of_ours_are_refused(device: Connection, tmp_path: Path) -> None:
    """Before anything is sent."""
    source = tmp_path / "source"
    source.write_bytes(b"x")
    with device.workdir() as work:
        for name in ("../escape", "sub/file", "/etc/passwd", "-rf", "a b", ".hidden", "x\ny", "$(id)"):
            with pytest.raises(OutputError):
                device.push(source, work / name)
            with pytest.raises(OutputError):
                device.pull(work / name, tmp_path / "back")
        assert device.run(["ls", "-A", str(work)], _LIMIT_S).stdout == ""
    with pytest.raises(OutputError):  # a folder that is gone
        device.push(source, work / "data")


def test_a_work_folder_is_private_and_goes_whatever_happens(device: Connection) -> None:
    """Two at once are two."""
    seen: list[PurePosixPath] = []
    with contextlib.suppress(KeyboardInterrupt), device.workdir() as one, device.workdir() as two:
        seen += [one, two]
        for work in seen:
            assert work.is_absolute()
            assert device.run(["stat", "-c", "%a", str(work)], _LIMIT_S).stdout.strip() == "700"
        raise KeyboardInterrupt
    assert len(set(seen)) == 2
    for work in seen:
        assert device.run(["ls", str(work)], _LIMIT_S, check=False).returncode != 0


def test_it_says_what_it_is_and_says_it_again(device: Connection) -> None:
    """The boot id is how a restart is noticed."""
    one, two = device.fingerprint(), device.fingerprint()
    assert one == two
    assert one.device_kind in ("physical", "emulated")
    assert one.kind_evidence
    assert one.arch
    assert one.cores >= 1
    assert one.boot_id


def test_closing_twice_is_closing(connect: Connect) -> None:
    """A `finally` may close what was closed before."""
    connection = connect()
    connection.run(["printf", "x"], _LIMIT_S)
    connection.close()
    connection.close()
