import importlib.metadata
from pathlib import Path
from types import SimpleNamespace

import pydantic
import pytest

from ofa_edge import targets
from ofa_edge.errors import ConfigError, UnknownNameError
from ofa_edge.targets import (
    builtin_folder,
    list_targets,
    load_target,
    read_target,
)

SHIPPED = [
    *(f"ethos-{each}" for each in ("u55-128", "u55-256", "u65-256", "u85-256")),
    *("galaxy-a03s", "galaxy-s10"),
    *("host", "jetson-nano", "jetson-orin-nano", "pixel-4", "pixel-7", "raspberry-pi-4", "raspberry-pi-5"),
    *("zu3eg", "zu9eg"),
]
PI4 = (builtin_folder() / "raspberry-pi-4.toml").read_text()


@pytest.fixture(autouse=True)
def no_outside_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(targets.SEARCH_VARIABLE, raising=False)
    monkeypatch.setattr(targets, "entry_points", lambda **_: [])


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def changed(tmp_path: Path, old: str, new: str) -> Path:
    assert old in PI4
    return write(tmp_path, "mine", PI4.replace(old, new, 1))


# -- what ships --


def test_all_shipped_targets_load_and_are_named_by_their_stem() -> None:
    assert [target.name for target in list_targets()] == SHIPPED
    for target in list_targets():
        assert target.path.stem == target.name
        assert target.latency_path.is_file()


def test_raspberry_pi_4_is_as_the_design_says() -> None:
    target = load_target("raspberry-pi-4")
    assert (target.hardware.cpu, target.hardware.cores, target.hardware.peak_gmacs_fp32) == ("cortex-a72", 4, 28.8)
    assert target.runtimes == ("tflite", "tvm", "onnxruntime")
    assert target.runtime.tvm is not None
    assert target.runtime.tvm.target["mtriple"] == "aarch64-linux-gnu"
    assert target.emulation is not None
    assert target.emulation.cpu == "cortex-a72"


def test_jetson_hosts_name_their_own_cpus() -> None:
    for name, arch, cpu in [("jetson-nano", "sm_53", "cortex-a57"), ("jetson-orin-nano", "sm_87", "cortex-a78ae")]:
        tvm = load_target(name).runtime.tvm
        assert tvm is not None
        host = tvm.target["host"]
        assert isinstance(host, dict)
        assert (tvm.target["kind"], tvm.target["arch"], host["mcpu"]) == ("cuda", arch, cpu)


def test_host_takes_the_machine_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(targets.os, "cpu_count", lambda: 7)
    hardware = load_target("host").hardware
    assert (hardware.arch, hardware.cores) == ("aarch64", 7)


def test_a_target_is_frozen() -> None:
    with pytest.raises(pydantic.ValidationError):
        load_target("pixel-4").runtime.threads = 1


def test_facts_hold_no_path_and_equal_files_give_equal_facts(tmp_path: Path) -> None:
    first = read_target(write(tmp_path / "a", "x", PI4)).facts()
    assert first == read_target(write(tmp_path / "b", "x", PI4)).facts()
    assert str(tmp_path) not in repr(first)
    assert first["schema"] == 1


# -- bad files --


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("threads = 4", "thread = 4", "unknown key 'runtime.thread'; nearest known key: 'runtime.threads'"),
        ("relative_budget", "relative_budgett", "nearest known key: 'defaults.relative_budget'"),
        ("[emulation]", "[emulatin]", "unknown key 'emulatin'; nearest known key: 'emulation'"),
        ("schema = 1", "schema = 1\nthreads = 4", "unknown key 'threads'; nearest known key: 'runtime.threads'"),
        ("threads = 4", 'threads = "four"', 'runtime.threads = "four": Input should be a valid integer'),
        ("threads = 4", "threads = true", "runtime.threads = true"),
        ("cores = 4", "cores = 4.5", "hardware.cores = 4.5"),
        ("threads = 4", "threads = 0", "runtime.threads = 0"),
        ("schema = 1", "schema = 2", "schema = 2: Input should be 1"),
        ('precision = "fp32"', 'precision = "fp8"', "defaults.precision"),
        ('cpu = "cortex-a72"', "", "missing key 'hardware.cpu'"),
        ('kind = "llvm", ', "", 'for example kind = "llvm"'),
        ('alternatives = ["tvm", "onnxruntime"]', 'alternatives = ["tflite"]', "alternatives names tflite again"),
        ('["fp32", "fp16", "dynamic", "int8"]', '["fp16"]', "defaults.precision fp32 is not in runtime.precisions"),
    ],
)
def test_a_bad_file_is_named_with_key_and_fault(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = changed(tmp_path, old, new)
    with pytest.raises(ConfigError) as caught:
        read_target(path)
    assert said in caught.value.why
    assert str(path) in caught.value.why
    assert "mine.toml" in caught.value.what


@pytest.mark.parametrize(
    ("key", "old"),
    [
        ("hardware.peak_gmacs_fp32", "peak_gmacs_fp32 = 28.8"),
        ("hardware.peak_gmacs_int8", "peak_gmacs_int8 = 57.6"),
        ("hardware.memory_gbps", "memory_gbps = 4.0"),
        ("hardware.cores", "cores = 4"),
        ("runtime.threads", "threads = 4"),
        ("defaults.relative_budget", "relative_budget = 0.6"),
        ("hardware.peak_gmacs_fp16", "# no fp16"),
        ("runtime.cores.0", "# no cores"),
        ("search.kernels.0", "[latency_model]"),
        ("sustained.factor", "[latency_model]"),
    ],
)
@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "-1", "1e300", "9" * 5000])
def test_a_figure_that_no_device_has_is_refused_with_its_key(tmp_path: Path, key: str, old: str, value: str) -> None:
    leaf = key.removesuffix(".0").rpartition(".")[2]
    new = {
        "runtime.cores.0": f"cores = [{value}, 1, 2, 3]",
        "search.kernels.0": f"[search]\nkernels = [{value}]\n{old}",
        "sustained.factor": f'[sustained]\nfactor = {value}\nsource = "x"\n{old}',
    }.get(key, f"{leaf} = {value}")
    text = PI4.replace("memory_gbps", "# no fp16\nmemory_gbps", 1).replace(
        "alternatives", "# no cores\nalternatives", 1
    )
    assert old in text
    path = write(tmp_path, "mine", text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=r"mine\.toml") as caught:
        read_target(path)
    if len(value) < 100:
        assert key in caught.value.why


@pytest.mark.parametrize("value", ["inf", "nan", "[1.0, { deep = -inf }]"])
def test_tvms_own_description_holds_no_endless_number(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"runtime\.tvm.*not finite"):
        read_target(changed(tmp_path, "num-cores = 4", f"num-cores = {value}"))


def test_a_peak_beyond_its_cores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="4 CPU cores reach"):
        read_target(changed(tmp_path, "peak_gmacs_int8 = 57.6", "peak_gmacs_int8 = 99999.0"))


def test_a_file_too_deep_or_too_large_is_a_config_error(tmp_path: Path) -> None:
    for number, text in enumerate((f"a = {'[' * 50_000}", f"{PI4}\n# {'x' * 1_000_001}")):
        with pytest.raises(ConfigError, match="cannot read"):
            read_target(write(tmp_path, f"t{number}", text))


def test_broken_toml_and_wrong_encoding_are_config_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_target(write(tmp_path, "broken", "schema = "))
    path = tmp_path / "latin.toml"
    path.write_bytes(b"description = '\xe9'")
    with pytest.raises(ConfigError, match="cannot read"):
        read_target(path)


# -- finding --


@pytest.mark.parametrize("stem", ["..", "a b", "-rf", ".x", "$(id)", "a\u202eb", "a" * 101])
def test_a_file_whose_name_is_no_plain_name_is_no_target(tmp_path: Path, stem: str) -> None:
    with pytest.raises(ConfigError, match="not a target name"):
        load_target(str(write(tmp_path, stem, PI4)))


def test_a_latency_file_lies_beside_its_target_or_below(tmp_path: Path) -> None:
    for elsewhere in ("../x.json", "/etc/x.json", "a/../../x.json"):
        with pytest.raises(ConfigError, match=r"latency_model\.file"):
            read_target(changed(tmp_path, 'file = "raspberry-pi-4.latency.json"', f'file = "{elsewhere}"'))


def test_unknown_target_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_target("rasberry-pi-4")
    assert "raspberry-pi-4" in caught.value.why


def test_a_path_loads_and_a_missing_one_says_so(tmp_path: Path) -> None:
    assert load_target(str(write(tmp_path, "mine", PI4))).name == "mine"
    with pytest.raises(ConfigError, match="no such target file"):
        load_target(str(tmp_path / "none.toml"))


def test_search_variable_adds_folders_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "folder", "one", PI4)
    single = write(tmp_path / "other", "two", PI4)
    monkeypatch.setenv(targets.SEARCH_VARIABLE, f"{tmp_path / 'folder'}:{single}")
    assert [target.name for target in list_targets()] == [*SHIPPED, "one", "two"]
    monkeypatch.setenv(targets.SEARCH_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match="does not exist"):
        list_targets()


def test_two_targets_of_one_name_are_an_error_that_names_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = write(tmp_path, "raspberry-pi-4", PI4)
    for call in (lambda: load_target("raspberry-pi-4"), list_targets):
        monkeypatch.setenv(targets.SEARCH_VARIABLE, str(tmp_path))
        with pytest.raises(ConfigError) as caught:
            call()
        assert str(copy) in caught.value.why
        assert str(builtin_folder() / "raspberry-pi-4.toml") in caught.value.why
    assert load_target("pixel-4").name == "pixel-4"  # an unrelated name still loads
    monkeypatch.delenv(targets.SEARCH_VARIABLE)
    with pytest.raises(ConfigError, match="two targets"):
        load_target(str(copy))


def test_one_file_reached_twice_is_one_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(targets.SEARCH_VARIABLE, str(builtin_folder()))
    assert load_target("pixel-4").name == "pixel-4"
    assert load_target(str(builtin_folder() / "pixel-4.toml")).name == "pixel-4"


def test_entry_points_add_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "plugin", PI4)
    monkeypatch.setattr(targets, "entry_points", lambda **_: [point(lambda: tmp_path)])
    assert load_target("plugin").path.parent == tmp_path


def test_a_broken_entry_point_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = importlib.metadata.EntryPoint("acme", "no_such_module_here:folder", targets.ENTRY_POINTS)
    monkeypatch.setattr(targets, "entry_points", lambda **_: [broken])
    with pytest.raises(ConfigError) as caught:
        list_targets()
    assert "acme" in caught.value.what
    assert "no_such_module_here" in caught.value.why


def point(value: object) -> SimpleNamespace:
    return SimpleNamespace(name="acme", value="acme:folder", load=lambda: value)


@pytest.mark.parametrize(
    ("name", "model", "cpu", "is_it"),
    [
        ("pixel-4", "Pixel 4", "kryo-4xx-gold", True),
        ("pixel-4", "Pixel 4 XL", "kryo-4xx-gold", True),
        ("pixel-4", "Pixel 4a", "kryo-4xx-gold", False),
        ("pixel-4", "Pixel 4", "cortex-a76", False),  # what its cores are built on is not what they say
        ("pixel-7", "Pixel 7", "cortex-x1", True),
        ("galaxy-s10", "SM-G973F", "exynos-m4", True),
        ("galaxy-s10", "SM-G973U", "kryo-4xx-gold", False),  # the Snapdragon's
        ("galaxy-a03s", "SM-A037F", "cortex-a53", True),
        ("raspberry-pi-4", "Raspberry Pi 4 Model B Rev 1.4", "cortex-a72", True),
        ("raspberry-pi-4", "Some A72 board", "cortex-a72", False),
        ("raspberry-pi-5", "Raspberry Pi 5 Model B Rev 1.0", "cortex-a76", True),
        ("jetson-nano", "NVIDIA Jetson Nano Developer Kit", "cortex-a57", True),
        ("jetson-orin-nano", "NVIDIA Jetson Orin Nano Developer Kit", "cortex-a78ae", True),
    ],
)
def test_hardware_is_known_by_what_it_says_of_itself(name, model, cpu, is_it):
    assert load_target(name).is_hardware(model, cpu) is is_it


def test_without_an_identity_the_cpu_decides():
    target = load_target("raspberry-pi-4").model_copy(update={"identity": None})
    assert target.is_hardware("any board", "cortex-a72")
    assert not target.is_hardware("any board", "cortex-a720")


def test_cores_hold_the_threads(tmp_path):
    assert read_target(changed(tmp_path, "threads = 4", "threads = 2\ncores = [2, 3]")).runtime.cores == (2, 3)
    for cores in ("[2]", "[2, 2]", "[-1, 0]", '["a", "b"]'):
        with pytest.raises(ConfigError, match="does not fit"):
            read_target(changed(tmp_path, "threads = 4", f"threads = 2\ncores = {cores}"))
