"""The ssh connection against a real sshd on a loopback port, with keys of its own."""

import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from limits_kept import check_a_limit_stops_the_program
from ssh_rig import Server, needs_sshd
from tiny_tflite import CLASSES

from ofa_edge.device.connections.ssh import SshAddress, SshConnection
from ofa_edge.device.measuring.measure import measure
from ofa_edge.device.measuring.programs import litert_program
from ofa_edge.device.protocol import LatencyPlan, Request
from ofa_edge.errors import ConfigError, DeviceLostError, DeviceRunError
from ofa_edge.export.tflite.convert import run_tflite


@pytest.fixture
def start_server(tmp_path):
    servers = []

    def start():
        folder = tmp_path / f"sshd-{len(servers)}"
        folder.mkdir()
        servers.append(Server(folder))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def server(start_server):
    return start_server()


@pytest.fixture
def device(server):
    connection = SshConnection("bench", server.address(), (sys.executable,))
    yield connection
    connection.close()


@needs_sshd
def test_files_and_words_arrive_as_they_left(device, tmp_path):
    words = ["a b", "$HOME", "; ls", "'quoted\"", "*", "", "back\\slash", "line\nbreak"]
    payload = bytes(range(256)) * 400
    (tmp_path / "file").write_bytes(payload)
    code = "import os, sys; print(sys.argv[1:], os.environ['OFA TEST'])"
    with device.workdir() as work:
        assert str(work).startswith("/tmp/ofa-edge.")
        device.push(tmp_path / "file", work / "file")
        device.pull(work / "file", tmp_path / "back")
        done = device.run([sys.executable, "-c", code, *words], 30, {"OFA TEST": "$x y"})
    assert (tmp_path / "back").read_bytes() == payload
    assert done.stdout == f"{words} $x y\n"
    assert not Path(work).exists()
    assert device.fingerprint().device_kind == "physical"


@needs_sshd
def test_a_measurement_over_ssh(device, artifacts, images):
    plan = LatencyPlan(sessions=1, min_runs=20, min_seconds=0, warmup_seconds=0, warmup_limit_seconds=0.2)
    found = measure(device, Request(artifacts["int8"], litert_program, images, CLASSES, latency=plan))
    np.testing.assert_array_equal(found.outputs, run_tflite(artifacts["int8"], images))
    assert found.device == "bench"
    assert found.latency.runs >= 20


@needs_sshd
def test_a_limit_stops_the_program_at_the_other_end(device, tmp_path):
    check_a_limit_stops_the_program(device, tmp_path)


@needs_sshd
def test_a_program_that_fails_there_is_no_lost_connection(device):
    with pytest.raises(DeviceRunError, match="exit status 7"):
        device.run(["sh", "-c", "echo why >&2; exit 7"], 10)
    with pytest.raises(DeviceRunError, match="No such file"):
        device.run(["/no/such/program"], 10)


@needs_sshd
def test_a_server_that_goes_away_is_a_lost_device(server, device):
    assert device.run(["echo", "here"], 10).stdout == "here\n"
    server.stop()
    device.close()  # the master connection would outlive the listening server
    with pytest.raises(DeviceLostError, match="no connection to bench"):
        device.run(["echo", "gone"], 10)


@needs_sshd
def test_an_unknown_host_key_is_refused(server, tmp_path):
    (tmp_path / "empty").write_text("")
    connection = SshConnection("bench", server.address(known_hosts_file=tmp_path / "empty"))
    try:
        with pytest.raises(DeviceLostError) as caught:
            connection.run(["true"], 10)
    finally:
        connection.close()
    assert "Host key verification failed" in caught.value.why
    assert "by hand" in caught.value.hint


@needs_sshd
def test_another_servers_key_is_refused(start_server):
    first, second = start_server(), start_server()
    known = second.folder / "known_hosts"
    key = (first.folder / "host.pub").read_text()
    known.write_text(f"[127.0.0.1]:{second.port} {key}")
    connection = SshConnection("bench", second.address())
    try:
        with pytest.raises(DeviceLostError, match="shows another host key"):
            connection.run(["true"], 10)
    finally:
        connection.close()


@needs_sshd
def test_nothing_is_left_here_after_close(server):
    connection = SshConnection("bench", server.address())
    folder = connection.control_folder
    connection.run(["true"], 10)
    assert (folder / "master").exists()
    connection.close()
    assert not folder.exists()


@pytest.mark.parametrize(
    "changes", [{"host": "-oProxyCommand=id"}, {"host": ""}, {"host": "a b"}, {"user": "-x"}, {"user": "a@b"}]
)
def test_names_that_ssh_could_misread_are_refused(changes):
    with pytest.raises(ConfigError, match=r"not a (host|user) name"):
        SshAddress(**{"host": "pi", **changes})


def test_the_options_never_ask_and_never_trust(tmp_path):
    options = " ".join(SshAddress("pi").options(tmp_path / "master"))
    assert "BatchMode=yes" in options
    assert "StrictHostKeyChecking=yes" in options
    assert "ControlMaster=auto" in options


def test_an_ipv6_address_is_bracketed_for_scp():
    assert SshAddress("fe80::1", "pi").remote(PurePosixPath("/tmp/x/file")) == "pi@[fe80::1]:/tmp/x/file"


ODD = ("my keys", "it's", 'a "b"', "100%h", "back\\slash", "$(id)", "a;b", "né", " lead and trail ", "#hash", "a,b")


@needs_sshd
def test_keys_may_lie_in_any_folder(server, tmp_path):
    """One folder that holds every sign: the key, the known hosts, what is sent, and the device's Python."""
    folder = tmp_path / "".join(ODD).replace("/", "")
    folder.mkdir()
    for name in ("user", "known_hosts"):
        shutil.copy(server.folder / name, folder / name)
    address = server.address(identity_file=folder / "user", known_hosts_file=folder / "known_hosts")
    (folder / "python").symlink_to(sys.executable)
    (folder / "a:b c").write_bytes(b"x")
    connection = SshConnection("bench", address, (str(folder / "python"),))
    try:
        with connection.workdir() as work:
            connection.push(folder / "a:b c", work / "file")
            connection.pull(work / "file", folder / "d:e f")
            assert connection.run([*connection.python, "-c", "print(1)"], 30).stdout == "1\n"
        assert (folder / "d:e f").read_bytes() == b"x"
    finally:
        connection.close()


@needs_sshd
@pytest.mark.parametrize("name", ODD)
def test_ssh_reads_a_path_as_it_was_meant(tmp_path, name):
    options = SshAddress("pi", identity_file=Path("/k") / name, known_hosts_file=Path("/k") / name).options(tmp_path)
    said = subprocess.run(
        ["ssh", "-F", "none", "-G", *options, "pi"], capture_output=True, text=True, check=True
    ).stdout
    told = dict(line.split(" ", 1) for line in said.splitlines() if " " in line)
    assert told["userknownhostsfile"] == f"/k/{name}"
    assert told["identityfile"].replace("%%", "%") == f"/k/{name}"  # its tokens are filled in later


@pytest.mark.parametrize("key", ["identity_file", "known_hosts_file"])
@pytest.mark.parametrize("path", ["/k/a\nProxyCommand=id", "/k/${HOME}", "/k/a\x1b"])
def test_paths_that_ssh_cannot_take_are_refused(key, path):
    with pytest.raises(ConfigError, match="not a path for ssh"):
        SshAddress("pi", **{key: Path(path)})
