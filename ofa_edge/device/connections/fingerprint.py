"""Ask a device what it is, with plain programs that every device has: `uname` and `head`, on Android also `getprop`.

GNU's tools and Android's toybox are both met: `head` of several files prints a header for each in either, but only
GNU's knows `-v`.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from ofa_edge.device.connections.cores import core_name
from ofa_edge.device.protocol import Completed, DeviceKind, Fingerprint
from ofa_edge.errors import DeviceRunError

MARKER = "/etc/ofa-edge-device"  # emulated devices carry it; its one line is "emulated"
_CPUINFO = "/proc/cpuinfo"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_OS_RELEASE = "/etc/os-release"
_MODELS = (
    "/proc/device-tree/model",
    "/sys/firmware/devicetree/base/model",
    "/sys/class/dmi/id/product_name",
)
# Android's emulators, by the properties that say so: goldfish and ranchu are its QEMU boards, cutf and vsoc Cuttlefish.
_EMULATED_PROPERTIES = ("ro.kernel.qemu", "ro.boot.qemu")
_EMULATED_BOARDS = ("goldfish", "ranchu", "cutf", "vsoc")
_FILES = (MARKER, _CPUINFO, _BOOT_ID, _OS_RELEASE, *_MODELS)
_NO_PROGRAM = (126, 127)  # exit statuses of shells, env and timeout
_UNAME = re.compile(r"(Linux) ([\x21-\x7e]+) ([a-z0-9_]+)")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_LONGEST = 200  # characters of one fact

Run = Callable[[Sequence[str]], Completed]


def read_fingerprint(run: Run, emulator: str | None) -> Fingerprint:
    """Read the fingerprint of the device on which `run` runs programs (and does not raise on a non-zero exit).

    Args:
        run: runs one program on the device.
        emulator: name and version of the emulator, where the connection starts one itself.

    Raises:
        DeviceRunError: the device answers with something else than a Linux system does, or not with all of it.
    """
    said = run(["uname", "-srm"]).stdout
    uname = _UNAME.fullmatch(said.strip())
    if uname is None:
        raise _unreadable(f"uname -srm: {said[:200]!r}")
    system, kernel, arch = uname.groups()
    files = split_heads(run(["head", "-n", "99999", *_FILES]).stdout)
    cpuinfo, boot_id = files.get(_CPUINFO, ""), files.get(_BOOT_ID, "").strip()
    # What is missing must not be read as "no marker, no sign of an emulator": an answer cut short is no answer.
    if not cpuinfo.strip() or not _UUID.fullmatch(boot_id):
        raise _unreadable(f"{_CPUINFO}: {len(cpuinfo)} characters; {_BOOT_ID}: {boot_id[:100]!r}")
    properties = {} if _OS_RELEASE in files else _properties(run)
    kind, evidence = _device_kind(files, properties, cpuinfo, arch, emulator)
    model = next((files[path].strip("\0\n ") for path in _MODELS if files.get(path, "").strip("\0\n ")), "")
    return Fingerprint(
        device_kind=kind,
        kind_evidence=evidence,
        arch=arch,
        cpu=_plain(cpu_name(cpuinfo)) or "unknown",
        model=_plain(properties.get("ro.product.model") or model),
        os=_plain(_os_name(files.get(_OS_RELEASE, "")) or _android_name(properties) or system),
        kernel=kernel,
        boot_id=boot_id,
        cores=len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE)) or 1,
        emulator=emulator,
        build=_plain(properties["ro.build.fingerprint"]) if "ro.build.fingerprint" in properties else None,
    )


def _unreadable(why: str) -> DeviceRunError:
    return DeviceRunError("the device does not say what it is", why, "is it a Linux system?")


def _plain(text: str) -> str:
    """What a device says is shown on terminals: no control characters, and no end of it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_LONGEST])


def _properties(run: Run) -> dict[str, str]:
    """Android's properties; none where there is no `getprop`."""
    try:
        done = run(["getprop"])
    except DeviceRunError:
        return {}
    properties = dict(re.findall(r"^\[([^\]]+)\]: \[(.*)\]$", done.stdout, re.MULTILINE))
    if done.returncode not in _NO_PROGRAM and "ro.build.fingerprint" not in properties:
        raise _unreadable(f"getprop: {done.stdout[:200]!r}")  # an emulator says what it is among these
    return properties


def split_heads(text: str) -> dict[str, str]:
    """Cut the output of `head FILE...` at its headers; files that do not exist are left out."""
    header = re.compile(r"^==> (.+) <==\n", re.MULTILINE)
    parts = header.split(text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _device_kind(
    files: Mapping[str, str], properties: Mapping[str, str], cpuinfo: str, arch: str, emulator: str | None
) -> tuple[DeviceKind, str]:
    if files.get(MARKER, "").strip() == "emulated":
        return "emulated", f"marker {MARKER}"
    told = [key for key in _EMULATED_PROPERTIES if properties.get(key) == "1"]
    told += ["ro.hardware"] if properties.get("ro.hardware", "").startswith(_EMULATED_BOARDS) else []
    if told:
        return "emulated", f"property {told[0]} is {properties[told[0]]}"
    if arch.startswith(("aarch64", "arm")) and re.search(r"^vendor_id\s*:", cpuinfo, re.MULTILINE):
        return "emulated", f"uname says {arch}, {_CPUINFO} describes an x86 processor"
    if files.get(_MODELS[0], "").startswith("linux,dummy-virt"):
        return "emulated", f"{_MODELS[0]} names QEMU's virtual board"
    if emulator is not None:  # never claim hardware for a program that an emulator runs
        return "emulated", "the connection runs an emulator"
    return "physical", f"no {MARKER}, no sign of an emulated CPU"


def cpu_name(cpuinfo: str) -> str:
    r"""The processor that /proc/cpuinfo describes, "" if it says nothing. Of several cores the biggest is named.

    >>> cpu_name("CPU implementer : 0x41\nCPU part : 0xd08\n")
    'cortex-a72'
    """
    makers = re.findall(r"^CPU implementer\s*:\s*(0x[0-9a-fA-F]+)", cpuinfo, re.MULTILINE)
    parts = re.findall(r"^CPU part\s*:\s*(0x[0-9a-fA-F]+)", cpuinfo, re.MULTILINE)
    name = core_name((int(maker, 16), int(part, 16)) for maker, part in zip(makers, parts, strict=False))
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return model[1].strip() if model and (not name or name.startswith("implementer")) else name


def _android_name(properties: Mapping[str, str]) -> str:
    release, level = (properties.get(f"ro.build.version.{key}", "") for key in ("release", "sdk"))
    return f"Android {release} (API {level})" if release else ""


def _os_name(os_release: str) -> str:
    name = re.search(r'^PRETTY_NAME="?([^"\n]*)"?$', os_release, re.MULTILINE)
    return name[1] if name else ""
