"""The runner's sources with all that compiling them needs: for a board whose own compiler is to build it.

    kit/  Makefile  tvm_runner.cc  cuda_plugin.cc  *.h  include/  lib/

`make` in that folder makes `runner/`, which is what `build.build_tvm_runner` makes here. The board needs make and g++
with C++17: no CUDA toolkit (the driver is loaded when the program runs), no Python, no TVM.
"""

import shutil
from pathlib import Path

from ofa_edge.device.runners.build import (
    CUDA_PLUGIN,
    CUDA_SOURCE,
    FLAGS,
    HEADERS,
    LIBRARIES,
    PLUGIN_FLAGS,
    RUNNER,
    fetch_library,
    program_flags,
    site_of,
    version_of,
)
from ofa_edge.errors import OutputError
from ofa_edge.files import write_bytes

_MAKEFILE = """# Makes runner/: the program that runs a TVM library on this machine, and what drives its NVIDIA GPU.
# TVM {version} for {arch}. Use it as docs/jetson.md says.
CXX ?= g++
FLAGS = {flags}
INCLUDE = -isystem include
LIBRARIES = {libraries}

all: runner/{runner} runner/{plugin}

runner/{runner}: {source} {headers} | runner
\t$(CXX) $(FLAGS) $(INCLUDE) {source} -L runner -o $@ $(LIBRARIES) {program_flags}

runner/{plugin}: {plugin_source} {headers} | runner
\t$(CXX) $(FLAGS) $(INCLUDE) {plugin_source} -L runner -o $@ $(LIBRARIES) {plugin_flags}

runner:
\tmkdir runner
\tcp lib/*.so runner/

clean:
\trm -rf runner

.PHONY: all clean
"""


def write_kit(out: Path, arch: str) -> Path:
    """Write the source kit for an architecture into a new folder.

    Args:
        out: a folder that does not exist, or is empty.
        arch: as uname says: "aarch64" for a Jetson.

    Returns:
        `out`.

    Raises:
        OutputError: the folder holds something.
        ToolMissingError: TVM is not installed, or there is no network to fetch its libraries from.
        UnsupportedError: no wheel of the installed TVM is known for `arch`.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out.name} is not empty", str(out.resolve()), "give a new folder")
    versions = {library.distribution: version_of(library.distribution) for library in LIBRARIES}
    source = Path(__file__).with_name(f"{RUNNER}.cc")
    (out / "lib").mkdir(parents=True, exist_ok=True)
    for library in LIBRARIES:
        fetch_library(library, versions[library.distribution], arch, out / "lib")
        headers = site_of(library) / Path(library.member).parts[0] / "include"
        shutil.copytree(headers, out / "include", dirs_exist_ok=True)
    for path in (source, CUDA_SOURCE, *HEADERS):
        shutil.copyfile(path, out / path.name)
    write_bytes(out / "Makefile", makefile(arch, versions["apache-tvm"]).encode())
    return out


def makefile(arch: str, version: str) -> str:
    """The Makefile, with the flags that the runner is compiled with here."""
    return _MAKEFILE.format(
        arch=arch,
        version=version,
        flags=_words(FLAGS),
        libraries=_words(tuple(f"-l{library.link_name}" for library in LIBRARIES)),
        runner=RUNNER,
        source=f"{RUNNER}.cc",
        headers=" ".join(path.name for path in HEADERS),
        program_flags=_words(program_flags(version)),
        plugin=CUDA_PLUGIN,
        plugin_source=CUDA_SOURCE.name,
        plugin_flags=_words(PLUGIN_FLAGS),
    )


def _words(flags: tuple[str, ...]) -> str:
    """Flags as make hands them to a shell: quoted, `$` doubled."""
    return " ".join("'" + flag.replace("$", "$$") + "'" for flag in flags)
