"""The process that is an emulated device, a module to run (`python -m ... launch REQUEST`), started by `system`.

It reads its orders as one line of JSON, says `{"port": N}` or `{"failed": WHY}`, and ends when its stdin does: then
the namespaces go, and with them every process and file of the device.
"""

import json
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofa_edge.device.emulation.emulated_system.adb_daemon import AdbDevice, serve
from ofa_edge.device.emulation.emulated_system.namespaces import (
    NamespaceError,
    Root,
    become,
    build_root,
    die_with_parent,
    enter,
    set_host_name,
    unshare_all,
)


def main() -> int:
    """See the module."""
    orders: Mapping[str, Any] = json.loads(sys.stdin.readline())
    listening = socket.create_server(("127.0.0.1", 0)) if orders["adb"] is not None else None
    child = os.fork()
    if child == 0:
        os._exit(_outer(orders, listening))
    if listening is not None:
        listening.close()
    return _watch(child)


def _watch(child: int) -> int:
    """Wait for the device or for whoever started us, whichever ends first."""
    handle = os.pidfd_open(child)
    ready, _, _ = select.select([sys.stdin, handle], [], [])
    if handle not in ready:
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 255


def _outer(orders: Mapping[str, Any], listening: socket.socket | None) -> int:
    """Leave this machine's namespaces; the child is the device's first process."""
    die_with_parent()
    try:
        unshare_all()
    except NamespaceError as error:
        return _fail(error)
    child = os.fork()
    if child == 0:
        die_with_parent()
        try:
            _device(orders, listening)
        except (NamespaceError, OSError) as error:
            os._exit(_fail(error))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 255


def _device(orders: Mapping[str, Any], listening: socket.socket | None) -> None:
    # A mount over an empty folder of the sysroot: seen in this namespace only, and nothing to remove.
    folder = Path(orders["system"], "run")
    set_host_name(orders["host_name"])
    build_root(folder, _root(orders), Path(orders["qemu"]))
    enter(folder)
    become(orders["user"])
    environment = orders["environment"]
    if listening is not None:
        device = AdbDevice(orders["adb"]["model"], orders["adb"]["shell"], environment)
        _say({"port": listening.getsockname()[1]})
        _close_output()
        serve(listening, device)
        return
    _say({"port": orders["port"]})
    _close_output()
    os.execve(orders["command"][0], orders["command"], environment)  # noqa: S606 - orders of our own


def _root(orders: Mapping[str, Any]) -> Root:
    files = {path: (text.encode(), mode) for path, (text, mode) in orders["files"].items()}
    return Root(
        system=Path(orders["system"]),
        machine=Path(orders["machine"]),
        folders=orders["folders"],
        files=files,
        links=orders["links"],
        absent=orders["absent"],
        size_mb=orders["size_mb"],
    )


def _close_output() -> None:
    """Nothing more is said; a device's programs must not hold our pipes."""
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)


def _say(facts: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _fail(error: Exception) -> int:
    _say({"failed": str(error)})
    return 1


if __name__ == "__main__":
    sys.exit(main())
