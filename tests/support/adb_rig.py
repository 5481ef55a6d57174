"""A real adb client against the daemon of the emulated device, whose commands run in this machine's own shell."""

import os
import shutil
import socket
import threading

from ofa_edge.device.connections.adb import AdbConnection
from ofa_edge.device.connections.adb_server import AdbAddress, AdbServer
from ofa_edge.device.emulation.emulated_system.adb_daemon import AdbDevice, serve

WHY_NOT = None if shutil.which("adb") else "adb is not installed"


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Phone:
    """A daemon on a port that is not 5555."""

    def __init__(self, home):
        self.home = home
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        device = AdbDevice("stand-in", shutil.which("sh"), environment)
        threading.Thread(target=serve, args=(self.socket, device), daemon=True).start()

    def address(self, server_port=None):
        return AdbAddress(
            host="127.0.0.1", port=self.port, server=AdbServer(server_port or free_port(), self.home, True)
        )

    def connect(self, folder="/tmp", **options):
        return AdbConnection("phone", self.address(), folder=folder, **options)

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
