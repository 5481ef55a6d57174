"""Published measurements as settings and observations. Reads a folder of CSV and JSON files; ships nothing of it."""

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import phone_networks
import published_nets as nets
from fit_many_devices import Observation, Setting
from numpy.typing import NDArray

from ofa_edge.cost import Operator, well_known
from ofa_edge.latency.analytic import Lowering, amounts
from ofa_edge.space import squeeze_width

CPU_LOWERING = {"fp32": Lowering(4, 4), "fp16": Lowering(4, 4), "int8": Lowering(1, 1)}
GPU_LOWERING = {"fp32": Lowering(4, 4), "fp16": Lowering(2, 2)}


@dataclass
class Data:
    """Settings by name and their observations."""

    settings: dict[str, Setting] = field(default_factory=dict)
    lowering: dict[str, Lowering] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)

    def add(self, setting: Setting, lowering: Lowering) -> str:
        """Declare a setting; return its name."""
        self.settings[setting.name] = setting
        self.lowering[setting.name] = lowering
        return setting.name

    def observe(self, setting: str, name: str, network: Sequence[Operator], ms: float, *, call: bool = True) -> None:
        """Record one latency; the family is the part of `name` before the colon."""
        taken = whole(network, self.lowering[setting])
        taken[-1] = float(call)
        self.observations.append(Observation(setting, name.partition(":")[0], name, taken, ms))


def whole(network: Sequence[Operator], lowering: Lowering) -> NDArray[np.float64]:
    """What a published network pays for in one call: it ran as it was."""
    taken = amounts(network, replace(lowering, depthwise_taps=None))
    taken[-1] = 1.0
    return taken


def cpu_base(dense: float, lanes: float, core: float, memory: float) -> NDArray[np.float64]:
    """Milliseconds per unit at the peaks of one thread.

    Args:
        dense: GMAC/s of products over channels: what dot-product instructions are for.
        lanes: GMAC/s of arithmetic value by value: depthwise kernels and elementwise operators.
        core: GMAC/s in fp32; loops and dispatch scale with it (12 GMAC/s: 3 microseconds).
        memory: GB/s.
    """
    slow = 12.0 / core
    arithmetic = [1 / dense] * 2 + [1 / lanes] * 3 + [1 / core, 1 / lanes]
    return np.array([*arithmetic, *[1 / memory] * 3, 0.003 * slow, 0.03 * slow])


def gpu_base(peak: float, memory: float) -> NDArray[np.float64]:
    """Milliseconds per unit at the peaks; 10 microseconds a kernel, 100 a call."""
    return np.array([1 / peak] * 7 + [1 / memory] * 3 + [0.01, 0.1])


@dataclass(frozen=True)
class Folders:
    """Where measurements lie: a file may be in any of the folders, or in none."""

    paths: tuple[Path, ...]

    def find(self, name: str) -> Path | None:
        """The file, in the first folder that has it."""
        return next((path / name for path in self.paths if (path / name).is_file()), None)

    def rows(self, name: str) -> Iterator[dict[str, str]]:
        """Rows of a CSV file; none where it is missing, which is said."""
        path = self.find(name)
        if path is None:
            print(f"not at hand: {name}", file=sys.stderr)
            return
        with path.open(newline="") as file:
            yield from csv.DictReader(file)


# -- CPUs ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Core:
    """One core of a SoC: what kind it is, and its peaks.

    Attributes:
        gmacs: 1e9 multiply-accumulates a second in fp32: clock x lanes x pipes.
        memory: GB/s of one thread.
        int8: how much faster products of int8 are: 4 with dot-product instructions, 2 without.
        half: it computes in fp16.
    """

    kind: str
    gmacs: float
    memory: float
    int8: float = 2.0
    half: bool = False


CORES: dict[str, Core] = {
    "bcm2837": Core("a53", 1.4 * 4, 1.5),
    "bcm2711": Core("a72", 1.8 * 4, 3.0),
    "bcm2712": Core("a76", 2.4 * 8, 8.0, 4.0, half=True),
    "sd821": Core("kryo", 2.15 * 4, 8.0),
    "sd835": Core("a73", 2.35 * 4, 8.0),
    "sd845": Core("a75", 2.8 * 4, 10.0),
    "sd670": Core("a75", 2.0 * 4, 8.0),
    "sd855": Core("a76", 2.525 * 8, 12.0, 4.0, half=True),  # the mean of its four large cores
    "sd855-prime": Core("a76", 2.84 * 8, 12.0, 4.0, half=True),
    "sd855-gold": Core("a76", 2.42 * 8, 12.0, 4.0, half=True),
    "sd855-silver": Core("a55", 1.8 * 4, 3.0, 4.0),
    "exynos9820": Core("m4", 2.73 * 8, 12.0, 4.0),
    "exynos9820-mid": Core("a75", 2.31 * 4, 8.0, 4.0),
    "exynos9820-small": Core("a55", 1.95 * 4, 3.0, 4.0),
    "mt6765": Core("a53", 2.3 * 4, 2.0),
    "mt6765-small": Core("a53", 1.8 * 4, 2.0),
    "kirin960": Core("a73", 2.362 * 4, 8.0),
    "kirin970": Core("a73", 2.36 * 4, 8.0),
    "xavier-cpu": Core("carmel", 2.27 * 8, 15.0),
    "rk3399": Core("a72", 1.8 * 4, 3.0),
    "tensor-g2": Core("x1", 128.8 / 4, 18.0, 4.0),
    "x86": Core("x86", 96.0, 12.0),
    "n100": Core("x86", 3.4 * 8, 10.0),
}


def rewritten(lowering: Lowering, precision: str) -> Lowering:
    """What is built for XNNPACK is rewritten for it; what was published was not."""
    return replace(lowering, depthwise_taps=25, hard_swish=2 if precision == "int8" else 1)


def cpu(data: Data, soc: str, backend: str, precision: str, threads: int, *, label: str = "") -> str:
    """Declare a CPU setting; `backend` is a stack, and perhaps its version behind an @."""
    core = CORES[soc]
    half = precision == "fp16" and core.half  # ncnn's fp16 arithmetic
    dense = core.gmacs * (core.int8 if precision == "int8" else 2.0 if half else 1.0)
    lanes = core.gmacs * (2.0 if precision == "int8" or half else 1.0)
    lowering = Lowering(2, 2) if half else CPU_LOWERING[precision]
    stack = backend.partition("@")[0]
    if stack in ("xnnpack", DETECTORS):
        lowering = rewritten(lowering, precision)
    name = f"{soc}/{backend}/{precision}/{threads}{label}"
    base = cpu_base(dense, lanes, core.gmacs, core.memory)
    device = soc.removesuffix("-prime")
    return data.add(Setting(name, device, stack, backend, precision, base, threads, core.kind), lowering)


def _standard(name: str) -> tuple[str, tuple[Operator, ...]] | None:
    """A network by its published name, with its family; None where no description of it is here."""
    if found := re.fullmatch(r"mobilenet[_-]v([12])[_-]([\d.]+)[_-](\d+).*", name):
        make = nets.mobilenet_v1 if found[1] == "1" else well_known.mobilenet_v2
        return f"mobilenet_v{found[1]}:{name}", make(float(found[2]), int(found[3]))
    plain = name.removesuffix("_224")
    makers: dict[str, Callable[[], tuple[Operator, ...]]] = {
        "squeezenet": lambda: nets.squeezenet("1.0"),
        "squeezenet1_0": lambda: nets.squeezenet("1.0"),
        "squeezenet1_1": lambda: nets.squeezenet("1.1"),
    }
    if plain in makers:
        return f"squeezenet:{name}", makers[plain]()
    if found := re.fullmatch(r"(resnet|resnet_v1_|densenet|vgg|vgg_)(\d+)(_bn)?", plain):
        family = found[1].partition("_")[0]
        return f"{family}:{name}", getattr(nets, family)(int(found[2]))
    return None


_PHONES = {  # device and back end of standard_nets.csv -> SoC, back end here
    ("Pixel 3", "tflite-cpu"): ("sd845", "tflite"),
    ("Pixel 4", "tflite-cpu"): ("sd855", "tflite"),
    ("Pixel 1", "tflite-cpu"): ("sd821", "tflite"),
    ("Pixel 1", "xnnpack"): ("sd821", "xnnpack"),
    ("Pixel 2", "xnnpack"): ("sd835", "xnnpack"),
    ("Pixel 3a", "xnnpack"): ("sd670", "xnnpack"),
    ("RPi 3B+", "xnnpack"): ("bcm2837", "xnnpack"),
    ("RPi 4 (32-bit)", "xnnpack"): ("bcm2711", "xnnpack"),
    ("RPi 4 (ARM64)", "xnnpack"): ("bcm2711", "xnnpack"),
    ("Pixel 2", "tvm-autotvm"): ("sd835", "autotvm"),
    ("Firefly RK3399 (A72 big)", "tvm-autotvm"): ("rk3399", "autotvm"),
    ("Huawei P20 Pro", "tvm-autotvm"): ("kirin970", "autotvm"),
    ("RPi 3B", "tvm-autotvm"): ("bcm2837", "autotvm"),
}
_VERSIONS = {"hosted_models": "@2019", "benchmarks.md": "@2020", "research/slim": "@2018"}  # by source


def standard_cpu(data: Data, folder: Folders) -> None:
    """Whole networks on phones and boards: TFLite's own kernels, XNNPACK, AutoTVM."""
    for row in folder.rows("standard_nets.csv"):
        place, network = _PHONES.get((row["device"], row["backend"])), _standard(row["net"])
        if place is None or network is None:
            continue
        soc, backend = place
        if backend == "tflite":
            backend += next(version for key, version in _VERSIONS.items() if key in row["source"])
        threads = int(row["threads"]) if row["threads"].isdigit() else 2 if soc == "rk3399" else 4
        label = "/arm32" if "32-bit" in row["device"] else ""
        setting = cpu(data, soc, backend, row["dtype"], threads, label=label)
        data.observe(setting, *network, float(row["latency_ms"]))
    for row in folder.rows("raspberry_pi_4_mlperf_v1.0.csv"):
        precision = "fp32" if "non-quantized" in row["model"] else "int8"
        network = _standard(row["model"])
        assert network is not None, row["model"]
        data.observe(cpu(data, "bcm2711", "tflite@2.4.1", precision, 4), *network, float(row["p50_ms"]))


_CLUSTERS = {
    ("Google Pixel 4", "1large"): "sd855-prime",
    ("Google Pixel 4", "large1med"): "sd855",
    ("Google Pixel 4", "med"): "sd855-gold",
    ("Google Pixel 4", "small"): "sd855-silver",
    ("Samsung Galaxy S10", "large"): "exynos9820",
    ("Samsung Galaxy S10", "large2med"): "exynos9820",
    ("Samsung Galaxy S10", "med"): "exynos9820-mid",
    ("Samsung Galaxy S10", "small"): "exynos9820-small",
    ("Samsung Galaxy A03s", "large"): "mt6765",
    ("Samsung Galaxy A03s", "small"): "mt6765-small",
}


# Stacks of their own. The phones' delegate is not stated, and grouped convolutions are as slow there as in TFLite's own
# kernels; detectors run in 13 to 29 parts with other work in between. As XNNPACK, they made it 1.2 to 1.4 times too
# slow on MobileNetV3, which is fitted to nowhere (`never_fitted`).
PHONES = "tflite-2.10"
DETECTORS = "xnnpack-detectors"
_NOISY = 0.15  # standard deviation over mean


def phones(data: Data, folder: Folders) -> None:
    """77 networks on each cluster of three phones, TFLite 2.10; not the runs that vary by more than 15 %."""
    known = phone_networks.networks()
    for row in folder.rows("phones_tflite_2_10.csv"):
        if float(row["std_ms"]) > _NOISY * float(row["latency_ms"]):
            continue
        cluster = row["core"].lstrip("0123456789")
        soc = _CLUSTERS.get((row["device"], row["core"])) or _CLUSTERS[row["device"], cluster]
        label = "/mixed" if cluster == "large2med" else ""
        setting = cpu(data, soc, PHONES, row["dtype"], int(row["threads"]), label=label)
        name = row["net"]
        data.observe(setting, f"{phone_networks.family_of(name)}:{name}", known[name], float(row["latency_ms"]))


def boards(data: Data, folder: Folders) -> None:
    """EfficientDet-Lite on Raspberry Pi 4 and 5 and an N100, TFLite 2.18 with XNNPACK: for how these compare."""
    socs = {"Raspberry Pi 4": "bcm2711", "Raspberry Pi 5": "bcm2712", "CHUWI LarkBox X": "n100"}
    for row in folder.rows("raspberry_pi_tflite_2_18.csv"):
        soc = next(value for key, value in socs.items() if row["device"].startswith(key))
        network = nets.efficientdet_lite(row["net"].removeprefix("efficientdet_lite"))
        setting = cpu(data, soc, DETECTORS, row["dtype"], int(row["threads"]))
        data.observe(setting, f"efficientdet:{row['net']}", network, float(row["latency_ms"]))


def never_fitted() -> list[tuple[str, tuple[Operator, ...], float]]:
    """MobileNetV3 in fp32 with XNNPACK: a setting, a network, milliseconds. No fit has seen them.

    google/XNNPACK README.md: Pixels on one thread (March 2020), Raspberry Pi 4 in 64 bits on four (February 2022).
    """
    measured = {("sd821", 1): (39, 12), ("sd835", 1): (42, 14), ("sd670", 1): (44, 14), ("bcm2711", 4): (40, 15)}
    return [
        (f"{soc}/xnnpack/fp32/{threads}", well_known.mobilenet_v3(variant), float(ms))
        for (soc, threads), both in measured.items()
        for variant, ms in zip(("large", "small"), both, strict=True)
    ]


def ncnn(data: Data, folder: Folders) -> None:
    """CPUs under ncnn: another runtime, used only for how devices compare."""
    places = {"Raspberry Pi 4": "bcm2711", "Raspberry Pi 5 Broadcom BCM2712,": "bcm2712", "Qualcomm SM8150": "sd855"}
    names = {"mobilenet": "mobilenet_v1_1.0_224", "mobilenet_v2": "mobilenet_v2_1.0_224", "squeezenet": "squeezenet1_1"}
    for row in folder.rows("ncnn.csv"):
        soc = next((value for key, value in places.items() if row["device"].startswith(key)), None)
        plain = row["net"].removesuffix("_int8")
        network = _standard(names.get(plain, plain))
        if soc is None or network is None or row["backend"] != "cpu":
            continue
        precision = "int8" if row["dtype"] == "int8" else "fp32" if soc == "bcm2711" else "fp16"
        core = "sd855-prime" if soc == "sd855" and row["threads"] == "1" else soc
        data.observe(cpu(data, core, "ncnn", precision, int(row["threads"])), *network, float(row["min_ms"]))


def block_tables(data: Data, folder: Folders) -> None:
    """Blocks timed one by one: Note10 (the SoC of the Pixel 4) and Pixel 1, by TFLite on one core."""
    note10, pixel1 = (
        cpu(data, "sd855-prime", "tflite@2021", "fp32", 1),
        cpu(data, "sd821", "tflite@2021", "fp32", 1, label="/table"),
    )
    for row in folder.rows("lut_ofa_note10_pixel1.csv"):
        first = "Note10" in row["device"]
        if first and row["resolution"] not in ("160", "192", "224"):
            continue
        part = _table_entry(row, middle_given=first)
        if part is not None:
            family = "ofa_blocks" if first else "proxyless_blocks"
            label = f"{family}:{row['input']} {row['expand']} {row['kernel']}"
            data.observe(note10 if first else pixel1, label, part, float(row["mean_ms"]), call=False)


def _table_entry(row: dict[str, str], *, middle_given: bool) -> tuple[Operator, ...] | None:
    shape = [int(value) for value in row["input"].split("x")]
    out = [int(value) for value in row["output"].split("x")]
    net = well_known.NetworkBuilder(shape[-1], shape[0])
    swish = row["hswish"] == "1"
    if row["op"] in ("Conv", "Conv_1", "Conv_2"):
        net.conv(out[-1], 3 if row["op"] == "Conv" else 1, 2 if row["op"] == "Conv" else 1)
        return net.swish().done() if middle_given else net.done()
    if row["op"] != "expanded_conv":
        return None  # pooling and classifier: microseconds
    middle = int(row["expand"]) * (1 if middle_given else shape[-1])
    se = squeeze_width(middle) if row["se"] == "1" else 0
    net.inverted(middle, out[-1], int(row["kernel"]), int(row["stride"]), swish=swish, se=se)
    return net.done()


def cells(data: Data, folder: Folders) -> None:
    """FBNet blocks and NAS-Bench-201 networks on 32x32 images: small maps, where dispatch weighs."""
    path = folder.find("hwnasbench.json")
    table = json.loads(path.read_text())["devices"] if path else {}
    for device, soc in (("raspi4", "bcm2711"), ("pixel3", "sd845")) if path else ():
        setting = cpu(data, soc, "tflite@2021", "fp32", 1, label="/hwnasbench")
        for name, ms in table[device]["rel_to_skip"].items():
            found = re.fullmatch(r"ConvBlock_H(\d+)_Cin(\d+)_Cout\2_s1_k(\d)_e(\d)", name)
            if found:  # only where the skip is the identity are entries absolute
                size, channels, kernel, expand = map(int, found.groups())
                net = (
                    well_known.NetworkBuilder(channels, size)
                    .conv(channels * expand)
                    .depthwise(kernel)
                    .conv(channels)
                    .add()
                )
                data.observe(setting, f"fbnet_blocks:{name}", net.done(), ms, call=False)
    columns = {
        "raspi4_ms": cpu(data, "bcm2711", "tflite@2021", "fp32", 1, label="/hwnasbench"),
        "pixel3_ms": cpu(data, "sd845", "tflite@2021", "fp32", 1, label="/hwnasbench"),
        "cortexA76_tflite_ms": cpu(data, "sd855-prime", "tflite@2021", "fp32", 1, label="/nnmeter"),
    }
    _nasbench(data, folder, columns)


def _nasbench(data: Data, folder: Folders, columns: dict[str, str]) -> None:
    complete = [row for row in folder.rows("nasbench201_device_latency.csv") if row["cortexA76_tflite_ms"]]
    for row in complete[:: max(1, len(complete) // 60)]:
        network = nets.nasbench201(row["arch_str"])
        for column, setting in columns.items():
            data.observe(setting, f"nasbench201:{row['arch_idx']}", network, float(row[column]))


# -- GPUs ------------------------------------------------------------------------------------------------------------

GPUS = {  # fp32 GMAC/s of the CUDA cores, memory GB/s (NVIDIA's data sheets)
    "nano": (118.0, 25.6),
    "tx2": (333.0, 59.7),
    "xavier": (704.0, 137.0),
    "orin-nano": (640.0, 68.0),
    "agx-orin": (1331.0, 204.8),
}


def gpu(data: Data, device: str, backend: str, precision: str) -> str:
    """Declare a GPU setting."""
    peak, memory = GPUS[device]
    base = gpu_base(peak * (2 if precision == "fp16" else 1), memory)
    return data.add(
        Setting(f"{device}/{backend}/{precision}", device, backend.partition("@")[0], backend, precision, base),
        GPU_LOWERING[precision],
    )


def jetsons(data: Data, folder: Folders) -> None:
    """TensorRT and PyTorch, ncnn on Vulkan (for how devices compare), NAS-Bench-201 on a Nano."""
    devices = {"Jetson Nano": "nano", "Jetson AGX Xavier": "xavier", "Jetson TX2": "tx2"}
    backends = {"tensorrt(torch2trt)": "tensorrt", "pytorch-cuda": "pytorch", "tensorrt-2018": "tensorrt-2018"}
    for row in folder.rows("standard_nets.csv"):
        network = _standard(row["net"])
        if row["device"] in devices and network is not None:
            setting = gpu(data, devices[row["device"]], backends[row["backend"]], row["dtype"])
            data.observe(setting, *network, float(row["latency_ms"]))
    starts = {
        "NVIDIA Jetson Nano": "nano",
        "NVIDIA Jetson Orin Nano": "orin-nano",
        "NVIDIA Jetson AGX Orin": "agx-orin",
        "NVIDIA Jetson AGX Xavier": "xavier",
        "NVIDIA Jetson TX2 NX": "tx2",
    }
    names = {"mobilenet": "mobilenet_v1_1.0_224", "mobilenet_v2": "mobilenet_v2_1.0_224", "squeezenet": "squeezenet1_1"}
    for row in folder.rows("ncnn.csv"):
        device = next((value for key, value in starts.items() if row["device"].startswith(key)), None)
        network = _standard(names.get(row["net"], row["net"]))
        if device and network and row["backend"] == "vulkan" and row["dtype"] != "int8" and row["threads"] == "1":
            data.observe(gpu(data, device, "vulkan", "fp16"), *network, float(row["min_ms"]))
    columns = {
        "jetson_nano_fp32_ms(eagle)": gpu(data, "nano", "eagle", "fp32"),
        "jetson_nano_fp16_ms(eagle)": gpu(data, "nano", "eagle", "fp16"),
    }
    _nasbench(data, folder, columns)
