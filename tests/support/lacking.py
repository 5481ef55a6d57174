"""A device that lacks something: what its programs and its Python say of themselves, each as real ones would."""

import json

import numpy as np
from scripted_device import Scripted

# The first 20 bytes of programs: class, byte order, version, ..., type (position independent), machine.
HEADERS = {
    "aarch64": "7f454c4602010100000000000000000003 00b700".replace(" ", ""),
    "armv7l": "7f454c4601010100000000000000000003002800",
    "x86_64": "7f454c4602010100000000000000000003003e00",
}
OD = "od -A n -t x1 -N 20 /proc/self/exe"
NO_MODULE = "ModuleNotFoundError: No module named '{}'"


class Board(Scripted):
    """A board whose user-land and Python are given; without a Python the shell does not find it."""

    name = "pi"
    python = ("python3",)
    folder = "/tmp"

    def __init__(self, programs="aarch64", version=(3, 11, 2), glibc="glibc 2.36", free_kib=10**7, page=4096, **more):
        words = " ".join(HEADERS[programs][at : at + 2] for at in range(0, 40, 2))
        header = "Filesystem 1024-blocks Used Available Capacity Mounted on"
        said = {
            OD: f" {words}\n",
            "df -P -k /tmp/private": f"{header}\n/dev/root 30000000 9 {free_kib} 1% /\n",
            "getconf PAGE_SIZE": f"{page}\n",
            "getconf GNU_LIBC_VERSION": f"{glibc}\n" if glibc.startswith("glibc") else (1, ""),
            "ldd --version": (1, f"musl libc (aarch64)\nVersion {glibc.split()[-1]}\n"),
        }
        super().__init__(said)
        self.version, self.missing, self.managed = version, more.get("missing", {}), more.get("managed", False)
        self.python_machine, self.libc, self.page = more.get("python_machine", programs), glibc, page

    def answer(self, argv, line):
        if argv[0] != self.python[0]:
            return super().answer(argv, line)
        if self.version is None:
            return 127, ""
        modules = [word.split(":")[0] for word in argv[4:]]
        said = {
            "version": self.version,
            "bits": 32 if self.python_machine == "armv7l" else 64,
            "header": HEADERS[self.python_machine],
            "libc": self.libc if self.libc.startswith("glibc") else "",
            "page": self.page,
            "managed": self.managed,
            "modules": [[name, "" if name in self.missing else "1.0", self.missing.get(name, "")] for name in modules],
        }
        return 0, json.dumps(said)


def elf(tmp_path, machine, page=0x10000, name="model.so"):
    """A 64- or 32-bit file with one loaded segment, as small as a linker never makes it."""
    wide = machine != "armv7l"
    head = bytes.fromhex(HEADERS[machine])
    if wide:
        rest = np.array([1], "<u4").tobytes() + np.array([0, 64, 0], "<u8").tobytes()
        rest += np.array([0], "<u4").tobytes() + np.array([64, 56, 1, 64, 0, 0], "<u2").tobytes()
        segment = np.array([1, 5], "<u4").tobytes() + np.array([0, 0, 0, 120, 120, page], "<u8").tobytes()
    else:
        rest = np.array([1, 0, 52, 0, 0], "<u4").tobytes() + np.array([52, 32, 1, 40, 0, 0], "<u2").tobytes()
        segment = np.array([1, 0, 0, 0, 84, 84, 5, page], "<u4").tobytes()
    path = tmp_path / name
    path.write_bytes(head + rest + segment)
    return path
