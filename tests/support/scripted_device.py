"""A device that answers from a script: files, programs, and what is written to it."""

import contextlib
import fnmatch
from pathlib import PurePosixPath

from ofa_edge.device.protocol import Completed, Fingerprint

POLICY = "/sys/devices/system/cpu/cpufreq/policy0"


class Scripted:
    """Programs answer with text or with (status, text); a list is used up answer by answer, its last one stays."""

    kind = "ssh"
    name = "scripted"

    def __init__(self, programs=(), files=(), model="", root=False):
        self.programs = {"id -u": "0" if root else "1000", **dict(programs)}
        self.files = dict(files)
        self.model, self.calls, self.pushed = model, [], {}

    def fingerprint(self):
        return Fingerprint("physical", "", "aarch64", "cortex-a72", self.model, "", "", "boot", 4)

    @contextlib.contextmanager
    def workdir(self):
        yield PurePosixPath("/tmp/private")

    def push(self, local, remote):
        self.pushed[str(remote)] = local.read_text()

    def run(self, argv, timeout_s, env=None, check=True):
        line = " ".join(argv)
        self.calls.append(line)
        status, text = self.answer(argv, line)
        return Completed(tuple(argv), status, text, "", 0.0)

    def answer(self, argv, line):
        if argv[0] == "find":
            folder, pattern = argv[2], argv[-1]
            found = [path for path in self.files if path.startswith(folder + "/")]
            return 0, "\n".join(path for path in found if fnmatch.fnmatch(path.rsplit("/", 1)[1], pattern))
        if argv[0] == "head":
            found = [path for path in argv[3:] if path in self.files]
            return 1, "\n".join(f"==> {path} <==\n{self.read(path)}" for path in found)
        if argv[0] == "cp":
            self.files[argv[2]] = self.pushed[argv[1]]
            return 0, ""
        said = self.programs.get(line, (127, ""))
        if isinstance(said, list):
            said = said.pop(0) if len(said) > 1 else said[0]
        return said if isinstance(said, tuple) else (0, said)

    def read(self, path):
        """A file's text; a list is used up read by read, its last one stays."""
        text = self.files[path]
        return (text.pop(0) if len(text) > 1 else text[0]) if isinstance(text, list) else text


class Clock:
    """Time that passes only while something waits."""

    def __init__(self):
        self.now = 0.0

    def sleep(self, seconds):
        self.now += seconds

    def __call__(self):
        return self.now
