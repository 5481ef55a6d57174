"""Whether a device can load a program or library at all: asked before it is pushed, for the answer there is a riddle.

A kernel says "No such file or directory" of a program whose loader it lacks, and a loader "wrong ELF class".
"""

from collections.abc import Iterable
from pathlib import Path

from ofa_edge.device.connections.userland import page_of, programs_of
from ofa_edge.device.needs import machine_kind
from ofa_edge.device.protocol import Connection, Fingerprint
from ofa_edge.elf import ElfError, Image, image, is_elf
from ofa_edge.errors import UnsupportedError


def check_loadable(connection: Connection, fingerprint: Fingerprint, files: Iterable[Path]) -> None:
    """Hold machine code among files to the device's own programs and its memory pages; other files are passed over.

    Raises:
        UnsupportedError: a file of another machine, a damaged one, or one that is aligned to smaller pages.
        DeviceLostError: the device was lost.
    """
    code = [(path, _image(path)) for path in files if _is_code(path)]
    if not code:
        return
    programs, page = programs_of(connection) or fingerprint.arch, page_of(connection)
    kind = machine_kind(programs)
    for path, found in code:
        if machine_kind(found.machine) != kind:
            kernel = "" if kind == machine_kind(fingerprint.arch) else f", its kernel {fingerprint.arch}"
            raise UnsupportedError(
                f"{path.name} does not run on {connection.name}",
                f"it is for {found.machine} ({found.bits} bit); the programs there are {programs}{kernel}",
                "build for a target of that machine, or give the device of this target",
            )
        if found.page is not None and page is not None and found.page < page:
            raise UnsupportedError(
                f"{path.name} does not load on {connection.name}",
                f"it is aligned to pages of {found.page} bytes; those there have {page}",
                f"link it with -Wl,-z,max-page-size={page}",
            )


def _is_code(path: Path) -> bool:
    with path.open("rb") as file:
        return is_elf(file.read(4))


def _image(path: Path) -> Image:
    try:
        return image(path.read_bytes())
    except ElfError as error:
        raise UnsupportedError(
            f"{path.name} is a damaged program", f"{path}: {error}", "build it again: ofa-edge build"
        ) from error
