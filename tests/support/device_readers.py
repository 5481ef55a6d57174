"""What devices, their programs and their clients answer: readers for the fuzzer, with small valid answers."""

import io
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from fuzzing import Reader, seeds
from scripted_device import Scripted

from ofa_edge.device.protocol import Completed
from ofa_edge.files import sha256_bytes, sha256_file

HEADS = """==> /proc/cpuinfo <==
processor\t: 0
CPU implementer\t: 0x41
CPU part\t: 0xd08
Model\t\t: Raspberry Pi 4 Model B Rev 1.4

==> /proc/sys/kernel/random/boot_id <==
01234567-89ab-cdef-0123-456789abcdef

==> /etc/os-release <==
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"

==> /proc/device-tree/model <==
Raspberry Pi 4 Model B Rev 1.4
"""
APP = {
    "tool": "org.ofaedge.demo", "schema": 1, "version": "0.1", "status": "ok", "artifact": {"sha256": ""},
    "measurement": {"runner": {"operators": 4, "delegated_operators": 3, "version": "1", "threads": 4}},
    "latency": {
        "samples_ns": [[1000000, 1100000]], "load_ms": 1.5, "first_ms": 2.0, "warmup_runs": [3], "settled": True,
    },
}  # fmt: skip
SESSION = {
    "latency_ns": [1000000, 1100000], "load_ns": 5, "first_ns": 7, "settled": True, "warmup_runs": 3,
    "watch": [[1, 40000, [1500000], [1500000]], [2, None, [1500000], [1500000]]], "runs": 2,
    "peak_memory": 100, "memory_before": 50, "profile": [["conv", 2, 1000]],
}  # fmt: skip
PYTHON = {
    "version": [3, 11, 2], "bits": 64, "header": "7f454c4602010100000000000000000003 00b700".replace(" ", ""),
    "libc": "glibc 2.36", "page": 4096, "managed": False, "modules": [["numpy", "2.4.6", ""], ["a", "", "No module a"]],
}  # fmt: skip
SYSTEMS = (
    " 7f 45 4c 46 02 01 01 00 00 00 00 00 00 00 00 00\n 03 00 b7 00\n",
    "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/root 30000000 9 20000 1% /\n",
    "glibc 2.36\n",
    "musl libc (aarch64)\nVersion 1.2.3\n",
    "ldd (Debian GLIBC 2.36-9) 2.36\n",
    "4096\n",
)
LOOKS = (
    "cpu  100 0 100 9000 0 0 0 0 0 0\ncpu0 1 2\n",
    "Current Battery Service state:\n  AC powered: false\n  level: 80\n  status: 2\n",
    "Thermal Status: 0\n",
    "throttled=0x0\n",
    "NV Power Mode: MAXN\n0\n",
    "==> /sys/a <==\n1500000\n==> /sys/b <==\n40000\n==> /proc/loadavg <==\n0.50 0.4 0.3 1/2 3\n",
    "0-3,6\n",
    "/sys/a /sys/b\n",
)


class Says(Scripted):
    """Answers everything with one text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def answer(self, argv: Sequence[str], line: str) -> tuple[int, str]:
        return 0, self.text


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace")


def userland(path: Path) -> object:
    from ofa_edge.device.connections.userland import read_userland
    from ofa_edge.device.needs import Needs, lacks
    from ofa_edge.device.wheels import NUMPY

    device: Any = Says(text_of(path))
    device.python, device.folder = ("python3",), "/tmp"
    has = read_userland(device, device.fingerprint(), {"numpy": "numpy"})
    needs = Needs({"numpy": NUMPY}, "aarch64", (2, 27))
    return has.to_json(), lacks(device, has, needs)


def device_readers() -> Iterator[Reader]:
    from ofa_edge.device.conditions.android import Android
    from ofa_edge.device.conditions.jetson import Jetson
    from ofa_edge.device.conditions.linux import Linux
    from ofa_edge.device.conditions.load import MOMENT, cores_in, load_of
    from ofa_edge.device.conditions.raspberry_pi import RaspberryPi
    from ofa_edge.device.connections.adb_server import parse_devices
    from ofa_edge.device.connections.fingerprint import read_fingerprint
    from ofa_edge.device.measuring.android_app import AndroidAppProgram
    from ofa_edge.device.measuring.programs import LiteRtProgram, last_json
    from ofa_edge.device.measuring.session import session_from

    def print_of(path: Path) -> object:
        answers = {"uname": "Linux 6.1.0-rpi7 aarch64\n", "head": text_of(path), "getprop": text_of(path)}
        return read_fingerprint(lambda argv: Completed(tuple(argv), 0, answers[argv[0]], "", 0.1), None)

    def app(path: Path) -> object:
        program = AndroidAppProgram(path, 5)
        report = last_json(text_of(path))
        if isinstance(report.get("artifact"), dict):
            report["artifact"]["sha256"] = sha256_file(path)
        facts = program.facts(report)
        return session_from(facts, np.zeros(5, np.float32), "") if "latency_ns" in facts else facts

    def session(path: Path) -> object:
        return session_from(last_json(text_of(path)), np.zeros(5, np.float32), "")

    def looks(path: Path) -> object:
        device: Any = Says(text_of(path))
        cores_in(device.text)
        load_of(dict.fromkeys(MOMENT, device.text), dict.fromkeys(MOMENT, device.text))
        return [family(device).look() for family in (Linux, Android, RaspberryPi, Jetson)]

    def outputs(path: Path) -> object:
        return LiteRtProgram(("python",), path).read_outputs(path)

    def listed(path: Path) -> object:
        return parse_devices(text_of(path))

    array = io.BytesIO()
    np.save(array, np.zeros((2, 5), np.float32))
    yield Reader(
        "fingerprint",
        ".txt",
        seeds(HEADS, f"{HEADS}[ro.build.fingerprint]: [a/b]\n[ro.product.model]: [Pixel]\n"),
        print_of,
    )
    yield Reader("app-report", ".json", seeds(json.dumps(APP)), app)
    yield Reader("runner", ".json", seeds(json.dumps(SESSION)), session)
    yield Reader("conditions", ".txt", seeds(*LOOKS), looks)
    yield Reader("userland", ".txt", seeds(json.dumps(PYTHON), *SYSTEMS), userland)
    yield Reader("outputs", ".npy", (array.getvalue(),), outputs, text=False)
    yield _turns()
    yield Reader("adb-devices", ".txt", seeds("List of devices attached\n0123\tdevice\nabc\tunauthorized\n"), listed)


def _turns() -> Reader:
    from ofa_edge.device.measuring.turns import TurnsProgram

    def turns(path: Path) -> object:
        device: Any = Says(text_of(path))
        with tempfile.TemporaryDirectory() as here:
            program = TurnsProgram(device, PurePosixPath("/tmp/w"), Path(here), 1, 100.0, ("turns",))
            models = {name: Path(here) / name for name in "ab"}
            for model in models.values():
                model.write_text(model.name)
            return program.time(models, [program.place(name) for name in models], 3, 10.0)

    taken = {"rounds_ns": [[10, 20], [11, 21], [12, 22]], "version": "1", "models": [*map(sha256_bytes, (b"a", b"b"))]}
    return Reader("turns", ".json", seeds(json.dumps(taken)), turns)
