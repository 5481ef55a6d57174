"""What a device's Python is and has, as one line of JSON: run there by `-c`, under whatever Python 3 that may be.

    PYTHON -c THIS (import|find) MODULE:DISTRIBUTION ...

`import` loads each module, which alone shows that its libraries load too; `find` only looks where it lies. Without
f-strings and annotations that Python 3.5 does not know: one that is too old can still say so.
"""

import json
import os
import struct
import sys
from pathlib import Path


def version_of(distribution: str) -> str:
    """The version of a distribution by its folder's name, "" where it has none; importlib.metadata takes a second."""
    wanted = distribution.replace("-", "_").lower()
    for folder in map(Path, sys.path):
        for path in folder.iterdir() if folder.is_dir() else ():
            parts = path.stem.lower().split("-")
            if path.suffix in (".dist-info", ".egg-info") and len(parts) > 1 and parts[0].replace(".", "_") == wanted:
                return parts[1]
    return ""


def why_not(module: str, load: bool) -> str:
    """Why a module cannot be had, "" where it can."""
    try:
        if load:
            __import__(module)
        else:
            from importlib.util import find_spec

            if find_spec(module) is None:
                return "No module named " + module
    except BaseException as error:  # a package may end the process, or raise whatever its libraries make it raise
        return (type(error).__name__ + ": " + str(error))[:400]
    return ""


def libc() -> str:
    """The C library in words, "" where it is not told: musl does not know the name."""
    try:
        return str(os.confstr("CS_GNU_LIBC_VERSION") or "")
    except (ValueError, OSError):
        return ""


def main() -> None:
    """See the module."""
    load = sys.argv[1] == "import"
    pairs = [word.split(":") for word in sys.argv[2:]]
    own = sys.base_prefix != sys.prefix
    with Path("/proc/self/exe").open("rb") as program:
        header = program.read(20)
    facts = {
        "version": list(sys.version_info[:3]),
        "bits": 8 * struct.calcsize("P"),
        "header": header.hex(),
        "libc": libc(),
        "page": os.sysconf("SC_PAGE_SIZE"),
        "managed": not own and Path(os.__file__).with_name("EXTERNALLY-MANAGED").exists(),
        "modules": [[name, version_of(of), why_not(name, load)] for name, of in pairs],
    }
    print(json.dumps(facts))


main()
