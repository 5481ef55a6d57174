"""Which programs a build leaves, and the folder that they are written to."""

from dataclasses import dataclass
from pathlib import Path

from ofa_edge.data import boxes, framing, pixels, raw_boxes
from ofa_edge.device import runners
from ofa_edge.example.golden import GoldenFacts
from ofa_edge.example.values import header
from ofa_edge.files import copy_file, shipped_folder, write_bytes
from ofa_edge.records.interface import InterfaceRecord
from ofa_edge.runtimes import Runtime

EXAMPLE = "example"
_FILES = Path(__file__).with_name("files")
_CORE = ("Channels", "Fault", "Image", "Json", "Picture", "Preprocessing", "Resize")
_CHANNELS = (1, 3)


@dataclass(frozen=True)
class Programs:
    """What can be written for a build.

    Attributes:
        python, cpp, java: whether there is a program in that language.
        why_not: where there is none at all, in words.
    """

    python: bool = False
    cpp: bool = False
    java: bool = False
    why_not: str = ""

    @classmethod
    def of(cls, interface: InterfaceRecord, runtime: Runtime) -> "Programs":
        """For an artifact of a runtime."""
        picture = interface.picture
        if picture is None or picture.channels not in _CHANNELS:
            return cls(why_not="the network does not take one grey or colour image")
        given = runtime.example
        if picture.filter != "triangle":
            why = f"its photos are framed by Pillow's {picture.filter} filter, which only Python has"
            return cls(given.python is not None, why_not="" if given.python is not None else why)
        if given.python is None and given.cpp is None:
            return cls(why_not=f"there are no programs for runtime {runtime.name}")
        square = picture.height == picture.width and picture.fit == "crop"
        java = runtime.app and square and interface.task == "classify"
        return cls(given.python is not None, given.cpp is not None and interface.task == "classify", java)


def write_programs(
    folder: Path, interface: InterfaceRecord, runtime: Runtime, programs: Programs, golden: GoldenFacts
) -> None:
    """Write `example/`, as far as there are programs for the artifact."""
    given = runtime.example
    if programs.python and given.python is not None:
        _copy(_FILES / "python", folder / "python")
        for module in (pixels, framing, boxes, raw_boxes):
            copy_file(Path(str(module.__file__)), folder / "python" / Path(str(module.__file__)).name)
        copy_file(given.python, folder / "python" / "model.py")
    if programs.cpp and given.cpp is not None:
        _copy(_FILES / "cpp", folder / "cpp")
        copy_file(given.cpp, folder / "cpp" / "runtime.cc")
        write_bytes(folder / "cpp" / "ofa_interface.h", header(interface, golden).encode())
        copy_file(Path(runners.__file__).with_name("sha256.h"), folder / "cpp" / "sha256.h")
        if given.make is not None:
            copy_file(given.make, folder / "cpp" / "runtime.mk")
    if programs.java:
        package = folder / "android/org/ofaedge"
        _copy(_FILES / "java", package / "example")
        (package / "demo/core").mkdir(parents=True)
        for name in _CORE:
            copy_file(core_folder() / f"{name}.java", package / "demo/core" / f"{name}.java")


def core_folder() -> Path:
    """Where the Android app's own preprocessing lies."""
    return shipped_folder("android_demo") / "app/src/main/java/org/ofaedge/demo/core"


def _copy(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        if path.is_file():
            copy_file(path, target / path.name)
