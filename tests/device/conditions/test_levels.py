"""A device is judged by where it stands, not only by how it moves: one simulated device for each level."""

import pytest
from scripted_device import POLICY, Clock, Scripted

from ofa_edge.device.conditions import DeviceConditions, family_of
from ofa_edge.device.conditions.load import load_of
from ofa_edge.device.conditions.raspberry_pi import stock_mhz
from ofa_edge.errors import DeviceBusyError

PI, NANO = "Raspberry Pi 4 Model B Rev 1.4", "NVIDIA Jetson Nano Developer Kit"
CPU, STAT = "/sys/devices/system/cpu", "/proc/stat"
GPU = "/sys/class/devfreq/57000000.gpu"
IDLE, LATER = "cpu  100 0 100 9000 0 0 0 0 0 0\ncpu0 1 2", "cpu  110 0 110 9180 0 0 0 0 0 0\ncpu0 1 2"
TAKEN = "cpu  200 0 100 9100 0 0 0 0 0 0\ncpu0 1 2"  # half of four cores
THERMAL = "HAL Ready: true\nThermal Status: 0\n"
BATTERY = "Current Battery Service state:\n  AC powered: true\n  level: 80\n  temperature: 280\n"

FILES = {
    f"{POLICY}/scaling_governor": "performance",
    f"{POLICY}/scaling_driver": "cpufreq-dt",
    f"{POLICY}/scaling_cur_freq": "1800000",
    f"{POLICY}/scaling_max_freq": "1800000",
    f"{POLICY}/cpuinfo_max_freq": "1800000",
    "/sys/class/thermal/thermal_zone0/temp": "42000",
    "/proc/loadavg": "0.10 0.05 0.01 1/123 456",
    STAT: [IDLE, LATER],
    f"{CPU}/online": "0-3",
    f"{CPU}/present": "0-3",
    f"{GPU}/max_freq": "921600000",
    f"{GPU}/available_frequencies": "76800000 460800000 921600000",
}
ANDROID = {
    "getprop ro.build.version.release": "14\n",
    "getprop ro.build.fingerprint": "google/flame/flame:13/TP1A\n",
    "dumpsys battery": BATTERY,
    "dumpsys thermalservice": THERMAL,
    "settings get global low_power": "0\n",
}
PROGRAMS = {
    PI: {"vcgencmd get_throttled": "throttled=0x0\n"},
    NANO: {"sudo -n nvpmodel -q": "NV Power Mode: MAXN\n0\n"},
    "Pixel 4": ANDROID,
    "Rock 5B": {},
}


def device(model, files=(), programs=(), kind="ssh"):
    """A device of a model that stands as it should, but for what is given."""
    found = Scripted({**PROGRAMS[model], **dict(programs)}, {**FILES, **dict(files)}, model)
    found.files = {path: list(text) if isinstance(text, list) else text for path, text in found.files.items()}
    found.kind = kind
    return found


def conditions(found, deadline_s=60.0):
    clock = Clock()
    family = family_of(found, found.fingerprint())
    return DeviceConditions(found.name, family, deadline_s, clock.sleep, clock), clock


@pytest.mark.parametrize("model", PROGRAMS)
def test_a_device_that_stands_as_it_should(model, caplog):
    found, _ = conditions(device(model))
    found.before()
    assert found.facts["clock ceiling"] == "1.80 GHz of 1.80 GHz"
    assert found.facts["load"] == "0.10 on 4 cores, 0.40 cores in use"  # 20 of 200 ticks of four cores
    assert "not read" not in found.facts
    assert not caplog.records


LOW = {f"{POLICY}/scaling_max_freq": "1200000"}
LEVELS = {
    "a ceiling below the hardware's": (PI, LOW, {}, "clock-capped", "policy0 1.20 GHz of 1.80 GHz", "echo 1800000"),
    "of any board": ("Rock 5B", LOW, {}, "clock-capped", "1.20 GHz of 1.80 GHz", "sudo tee"),
    "of a phone": ("Pixel 4", LOW, {}, "clock-capped", "1.20 GHz of 1.80 GHz", "power saving"),
    "of a power mode": (NANO, LOW, {}, "clock-capped", "1.20 GHz of 1.80 GHz", "sudo nvpmodel -m 0"),
    "the lowest clock": (
        PI,
        {f"{POLICY}/scaling_governor": "powersave"},
        {},
        "governor-slow",
        "policy0 at the lowest clock",
        "echo performance | sudo tee",
    ),
    "cores that are off": (NANO, {f"{CPU}/online": "0-1"}, {}, "cores-off", "2 of its 4 cores", "nvpmodel"),
    "of a Pi": (PI, {f"{CPU}/online": "0-2"}, {}, "cores-off", "1 of its 4 cores", "chcpu -e 0-3"),
    "a GPU's ceiling": (NANO, {f"{GPU}/max_freq": "460800000"}, {}, "gpu-capped", "0.46 GHz of 0.92 GHz", "nvpmodel"),
    "a board that is sold faster": (
        PI,
        {f"{POLICY}/cpuinfo_max_freq": "600000", f"{POLICY}/scaling_max_freq": "600000"},
        {},
        "underclocked",
        "0.60 GHz; it is sold with 1.50 GHz",
        "config.txt",
    ),
    "under-voltage that only the kernel tells": (
        PI,
        {"/sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1"},
        {"vcgencmd get_throttled": (127, "")},
        "under-voltage",
        "under-voltage",
        "power supply",
    ),
    "battery saver": (
        "Pixel 4",
        {},
        {"settings get global low_power": "1\n"},
        "battery-saver",
        "battery saver is on",
        "settings put global low_power 0",
    ),
    "somebody else's programs": (PI, {STAT: [IDLE, TAKEN, IDLE, TAKEN]}, {}, "busy", "2.0 of 4 are in use", "top -b"),
}


@pytest.mark.parametrize("case", LEVELS)
def test_a_level_that_is_not_what_the_hardware_can_do_is_refused(case):
    model, files, programs, code, words, hint = LEVELS[case]
    found, _ = conditions(device(model, files, programs), deadline_s=0.0)
    with pytest.raises(DeviceBusyError) as told:
        found.before()
    assert told.value.reason == code
    assert words in told.value.why
    assert hint in told.value.hint


SAID = {
    "boost": ({f"{CPU}/intel_pstate/no_turbo": "1"}, "boost clocks are switched off", ("boost", "off")),
    "another boost": ({f"{CPU}/cpufreq/boost": "0"}, "boost clocks are switched off", ("boost", "off")),
    "a power profile": (
        {"/sys/firmware/acpi/platform_profile": "low-power"},
        "power profile low-power",
        ("power profile", "low-power"),
    ),
    "a laptop's battery": ({"/sys/class/power_supply/AC/online": "0"}, "on its battery", ("power", "battery")),
    "cores": ({f"{CPU}/online": "0,2"}, "2 of its 4 cores", ("cores", "2 of 4 on")),
    "load": ({STAT: [IDLE, TAKEN]}, "other programs run", ("load", "0.10 on 4 cores, 2.00 cores in use")),
}


@pytest.mark.parametrize("case", SAID)
def test_what_a_machine_of_another_kind_may_be_is_said_and_recorded(case, caplog):
    files, words, (name, value) = SAID[case]
    found, _ = conditions(device("Rock 5B", files))
    found.before()
    assert found.facts[name] == value
    assert words in caplog.text


def test_this_machine_is_told_and_not_refused(caplog):
    """A laptop with a capped clock still builds for itself: its latency is its own."""
    found, clock = conditions(device("Rock 5B", {**LOW, f"{POLICY}/scaling_governor": "powersave"}, kind="local"))
    found.before()
    assert clock.now == 0
    assert "held below what they can be" in caplog.text
    assert "at the lowest clock" in caplog.text


def test_a_driver_whose_powersave_is_the_usual_governor():
    files = {f"{POLICY}/scaling_governor": "powersave", f"{POLICY}/scaling_driver": "intel_pstate"}
    found, _ = conditions(device("Rock 5B", files))
    found.before()


def test_a_ceiling_that_heat_lowered_is_waited_for():
    warm = device(PI, {**LOW, "/sys/class/thermal/thermal_zone0/temp": ["58000", "41000"]})
    warm.files[f"{POLICY}/scaling_max_freq"] = ["1200000", "1800000"]
    found, clock = conditions(warm)
    found.before()
    assert clock.now > 0
    cold, clock = conditions(device(PI, LOW))  # no heat: nothing raises it again
    with pytest.raises(DeviceBusyError):
        cold.before()
    assert clock.now == 0


def test_an_overclocked_board_is_said(caplog):
    fast = {f"{POLICY}/cpuinfo_max_freq": "2100000", f"{POLICY}/scaling_max_freq": "2100000"}
    found, _ = conditions(device(PI, fast))
    found.before()
    assert "overclocked to 2.10 GHz" in caplog.text
    assert found.facts["stock clock"] == "2.10 GHz, sold with 1.80 GHz"


UNREAD = {
    "clock ceiling": (PI, [f"{POLICY}/cpuinfo_max_freq"], ()),
    "temperature": ("Rock 5B", ["/sys/class/thermal/thermal_zone0/temp"], ()),
    "load": ("Rock 5B", ["/proc/loadavg", STAT], ()),
    "cores": ("Rock 5B", [f"{CPU}/present"], ()),
    "GPU ceiling": (NANO, [f"{GPU}/available_frequencies"], ()),
    "power mode": (NANO, [], ["sudo -n nvpmodel -q"]),
    "throttled": (PI, [], ["vcgencmd get_throttled"]),
    "thermal status": ("Pixel 4", [], ["dumpsys thermalservice"]),
    "battery saver": ("Pixel 4", [], ["settings get global low_power"]),
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_cannot_be_read_is_named(name):
    model, files, programs = UNREAD[name]
    board = device(model)
    for path in files:
        del board.files[path]
    for line in programs:
        del board.programs[line]
    found, _ = conditions(board)
    found.before()
    assert name in found.facts["not read"].split(", ")


def test_every_session_is_recorded():
    board = device(PI, {"/proc/loadavg": ["0.10 0 0 1/1 1", "0.10 0 0 1/1 1", "0.10 0 0 1/1 1", "0.55 0 0 1/1 1"]})
    found, _ = conditions(board)
    found.before()
    found.before()
    assert found.facts["load"].startswith("0.10 on 4 cores, 0.40 cores in use | 0.55 on 4 cores")
    assert found.facts["clock ceiling"] == "1.80 GHz of 1.80 GHz"


@pytest.mark.parametrize(
    ("before", "after", "busy"),
    [
        (IDLE, LATER, 0.4),
        (IDLE, TAKEN, 2.0),
        (IDLE, IDLE, None),  # no time passed
        (LATER, IDLE, None),  # it runs backwards
        ("", LATER, None),
        ("cpu  1 2", "cpu  3 4", None),
        ("cpu  " + "9" * 30, LATER, None),
    ],
)
def test_the_share_of_two_looks_at_proc_stat(before, after, busy):
    load = load_of({STAT: before}, {STAT: after, f"{CPU}/online": "0-3"})
    assert load.busy_cores == (None if busy is None else pytest.approx(busy))


def test_stock_clocks_are_of_the_longest_name_that_fits():
    assert stock_mhz("Raspberry Pi 400 Rev 1.0") == (1800, 1800)
    assert stock_mhz("Raspberry Pi 3 Model B Plus Rev 1.3") == (1400, 1400)
    assert stock_mhz("Raspberry Pi 3 Model B Rev 1.2") == (1200, 1200)
    assert stock_mhz("Raspberry Pi 5 Model B Rev 1.0") == (2400, 2400)
    assert stock_mhz("Raspberry Pi Model B Rev 2") is None


@pytest.mark.parametrize("model", [PI, NANO, "Pixel 4", "Rock 5B"])
@pytest.mark.parametrize(("table", "said"), [(1.8, False), (1.79, False), (2.4, True), (1.5, True)])
def test_its_clock_stands_beside_that_of_the_targets_table(model, table, said, caplog):
    """`cpuinfo_max_freq` is what a kernel was told: a board whose device tree holds it back looks whole by itself."""
    scripted = device(model)
    clock = Clock()
    family = family_of(scripted, scripted.fingerprint())
    found = DeviceConditions(scripted.name, family, 60.0, clock.sleep, clock, clock_ghz=table)
    found.before()
    assert found.facts["target clock"] == f"1.80 GHz at most, {table:.2f} GHz of the target"
    assert (f"the target is of {table:.2f} GHz" in caplog.text) == said
    assert found.after() is None


def test_a_clock_that_cannot_be_read_is_named(caplog):
    scripted = device("Rock 5B", {f"{POLICY}/cpuinfo_max_freq": ""})
    clock = Clock()
    found = DeviceConditions(
        "rock", family_of(scripted, scripted.fingerprint()), 60.0, clock.sleep, clock, clock_ghz=1.8
    )
    found.before()
    assert "target clock" in found.facts["not read"]
