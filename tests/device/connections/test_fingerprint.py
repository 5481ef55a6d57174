"""A device's kind is found on the device, not in the user's word."""

import doctest

import pytest

import ofa_edge.device.connections.fingerprint as module
from ofa_edge.device.connections.cores import PART_NAMES, emulated_core
from ofa_edge.device.connections.fingerprint import cpu_name, read_fingerprint
from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.protocol import Completed
from ofa_edge.errors import DeviceRunError, UnsupportedError

X86 = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R)\n\nprocessor\t: 1\nvendor_id\t: x\n"
PI = {
    "/proc/cpuinfo": emulated_core("cortex-a72").cpuinfo(4),
    "/proc/sys/kernel/random/boot_id": "11111111-2222-3333-4444-555555555555\n",
    "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian"\n',
    "/proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
}


def device(files, arch="aarch64"):
    """A device that has these files."""

    def run(argv):
        if argv[0] == "uname":
            text = f"Linux 6.1.21 {arch}\n"
        else:
            asked = [path for path in argv[1:] if path in files]
            text = "\n".join(f"==> {path} <==\n{files[path]}" for path in asked)
        return Completed(tuple(argv), 0, text, "", 0.0)

    return run


def test_a_raspberry_pi():
    found = read_fingerprint(device(PI), None)
    assert (found.device_kind, found.arch, found.cpu, found.cores) == ("physical", "aarch64", "cortex-a72", 4)
    assert found.model == "Raspberry Pi 4 Model B Rev 1.4"
    assert found.os == "Debian GNU/Linux 12 (bookworm)"
    assert (found.kernel, found.boot_id) == ("6.1.21", "11111111-2222-3333-4444-555555555555")
    assert found.emulator is None


@pytest.mark.parametrize(
    ("files", "evidence"),
    [
        ({**PI, "/etc/ofa-edge-device": "emulated\n"}, "marker"),
        ({**PI, "/proc/cpuinfo": X86}, "describes an x86 processor"),
        ({**PI, "/proc/device-tree/model": "linux,dummy-virt\0"}, "virtual board"),
    ],
)
def test_an_emulated_device_is_known_by_what_is_on_it(files, evidence):
    found = read_fingerprint(device(files), None)
    assert found.device_kind == "emulated"
    assert evidence in found.kind_evidence


def test_what_an_emulator_runs_is_never_called_hardware():
    assert read_fingerprint(device(PI), "QEMU 7.2").device_kind == "emulated"


def test_something_that_is_no_linux_system_is_refused():
    with pytest.raises(DeviceRunError, match="does not say what it is"):
        read_fingerprint(lambda argv: Completed(tuple(argv), 127, "", "uname: not found", 0.0), None)


@pytest.mark.parametrize(
    "uname", ["a b c", "Linux 6.1", "Linux 6.1 aarch64 more", "Linux 6.1\x1b[31m aarch64", "Windows 11 x86_64", ""]
)
def test_garbage_for_a_name_is_refused(uname):
    with pytest.raises(DeviceRunError, match="does not say what it is"):
        read_fingerprint(lambda argv: Completed(tuple(argv), 0, uname, "", 0.0), None)


@pytest.mark.parametrize("lost", ["/proc/cpuinfo", "/proc/sys/kernel/random/boot_id"])
def test_an_answer_cut_short_is_not_read_as_hardware(lost):
    files = {**PI, "/etc/ofa-edge-device": "emulated\n"}
    with pytest.raises(DeviceRunError, match="does not say what it is"):
        read_fingerprint(device({path: text for path, text in files.items() if path != lost}), None)
    with pytest.raises(DeviceRunError, match="does not say what it is"):
        read_fingerprint(device({**PI, lost: ""}), None)


def test_a_boot_id_that_is_none_is_refused():
    with pytest.raises(DeviceRunError, match="boot_id"):
        read_fingerprint(device({**PI, "/proc/sys/kernel/random/boot_id": "11111111-2222-33"}), None)


def test_this_machine_is_hardware_as_far_as_it_can_tell():
    found = LocalConnection().fingerprint()
    assert found.device_kind == "physical"
    assert found.cores >= 1
    assert len(found.boot_id) == 36


def test_cpu_names():
    assert cpu_name(X86) == "Intel(R) Xeon(R)"
    assert cpu_name("") == ""
    big_little = "CPU implementer : 0x41\nCPU part : 0xd05\n\nCPU implementer : 0x41\nCPU part : 0xd0b\n"
    assert cpu_name(big_little) == "cortex-a76"
    assert cpu_name("CPU implementer : 0x51\nCPU part : 0x001\n") == "implementer 0x51 part 0x1"


@pytest.mark.parametrize(
    ("cores", "name"),
    [
        ([(0x51, 0x805)] * 4 + [(0x51, 0x804)] * 4, "kryo-4xx-gold"),  # a Pixel 4
        ([(0x51, 0x804)] * 4 + [(0x51, 0x805)] * 4, "kryo-4xx-gold"),  # whatever the order
        ([(0x41, 0xD05)] * 4 + [(0x51, 0x804)] * 4, "kryo-4xx-gold"),  # numbers of both makers
        ([(0x41, 0xD05)] * 4 + [(0x41, 0xD41)] * 2 + [(0x41, 0xD44)] * 2, "cortex-x1"),  # a Pixel 7
        ([(0x41, 0xD05), (0x53, 0x002)], "implementer 0x53 part 0x2"),
    ],
)
def test_the_biggest_of_several_kinds_of_core(cores, name):
    text = "".join(f"CPU implementer : {maker:#x}\nCPU part : {part:#x}\n\n" for maker, part in cores)
    assert cpu_name(text) == name


@pytest.mark.parametrize("name", ["cortex-a53", "cortex-a57", "cortex-a72", "cortex-a76", "neoverse-n1"])
def test_an_emulated_core_reads_back_as_itself(name):
    core = emulated_core(name)
    assert cpu_name(core.cpuinfo(2)) == name
    assert PART_NAMES[core.part] == name


def test_a_core_that_qemu_lacks_gets_one_with_no_instruction_more():
    assert emulated_core("Cortex-A78AE").name == "cortex-a76"
    assert emulated_core("cortex-a73").name == "cortex-a72"
    with pytest.raises(UnsupportedError, match="max"):  # QEMU's default gives wrong int8 results
        emulated_core("max")


def test_examples():
    assert doctest.testmod(module).failed == 0


PIXEL = {
    "/proc/cpuinfo": "processor : 0\nCPU implementer : 0x51\nCPU part : 0x804\n",
    "/proc/sys/kernel/random/boot_id": "11111111-2222-3333-4444-555555555555\n",
}
PROPERTIES = """[ro.build.fingerprint]: [google/flame/flame:13/TP1A/8940162:user/release-keys]
[ro.build.version.release]: [13]
[ro.build.version.sdk]: [33]
[ro.hardware]: [flame]
[ro.product.model]: [Pixel 4]
[persist.sys.note]: [two] [brackets]
"""


def android(properties):
    plain = device(PIXEL)

    def run(argv):
        return Completed(tuple(argv), 0, properties, "", 0.0) if argv == ["getprop"] else plain(argv)

    return run


def test_a_phone_is_known_by_its_properties():
    found = read_fingerprint(android(PROPERTIES), None)
    assert (found.device_kind, found.model, found.os) == ("physical", "Pixel 4", "Android 13 (API 33)")
    assert found.build == "google/flame/flame:13/TP1A/8940162:user/release-keys"
    assert found.cpu == "kryo-4xx-gold"


@pytest.mark.parametrize("line", ["[ro.kernel.qemu]: [1]", "[ro.boot.qemu]: [1]", "[ro.hardware]: [ranchu]"])
def test_androids_emulators_say_so(line):
    text = "\n".join(row for row in PROPERTIES.splitlines() if "ro.hardware" not in row)
    found = read_fingerprint(android(f"{text}\n{line}\n"), None)
    assert found.device_kind == "emulated"
    assert found.kind_evidence.startswith("property ro.")


def test_what_a_device_says_of_itself_cannot_drive_a_terminal():
    hostile = PROPERTIES.replace("[Pixel 4]", "[\x1b]0;owned\x07<b>" + "x" * 5000 + "]")
    found = read_fingerprint(android(hostile), None)
    assert found.model.startswith("?]0;owned?<b>xxx")
    assert len(found.model) == 200
