"""What the built-in targets' latency files hold: for each model, the setting it comes from and the words beside it."""

from dataclasses import dataclass
from typing import Literal

from latency_data import PHONES

SOURCES = {
    "hosted": "tensorflow/tensorflow tensorflow/lite/g3doc/guide/hosted_models.md @0406598a59",
    "benchmarks": "tensorflow/tensorflow tensorflow/lite/g3doc/performance/benchmarks.md @00f0938ae8",
    "slim": "tensorflow/models research/slim/nets/mobilenet/README.md @0ba83cf021",
    "mlperf": "mlcommons/inference_results_v1.0 open/Krai/results/rpi4coral-fan.on-tflite-v2.4.1-ruy",
    "xnnpack": "google/XNNPACK README.md @75db3c093b",
    "note10": "gatech-sysml/CompOFA NAS/checkpoints/latency_table@note10",
    "proxyless": "ProxylessNAS mobile latency table, Pixel 1 (mit-han-lab)",
    "hwnasbench": "HayeonLee/HELP data/fbnet and data/nasbench201 (HW-NAS-Bench v1.0)",
    "nnmeter": "NAS-Bench-201 latencies on Cortex-A76, TFLite (nn-Meter)",
    "phones": "qed-usc/mobile-ml-benchmark dataset/tflite_cnn_e2e.csv @c864a331be",
    "boards": "NobuoTsukamoto/benchmarks tensorflow/lite/efficentdet/results @422e0a08db",
    "tensorrt8": "NobuoTsukamoto/benchmarks tensorrt/jetson @422e0a08db",
    "ncnn": "Tencent/ncnn benchmark/README.md @a4d2ea1d44",
    "torch2trt": "NVIDIA-AI-IOT/torch2trt docs/benchmarks @4e820ae3",
    "tf2trt": "NVIDIA-AI-IOT/tf_to_trt_image_classification README.md @0aced03dc4",
    "eagle": "NAS-Bench-201 latencies on Jetson Nano (Eagle, BRP-NAS)",
}
_SHARED = ("phones", "boards", "xnnpack", "mlperf", "hosted", "benchmarks", "slim", "note10", "proxyless")
_SHARED += ("hwnasbench", "nnmeter")
_GPU = ("torch2trt", "tensorrt8", "tf2trt", "eagle", "ncnn")

XNNPACK = "LiteRT 2 (XNNPACK), rewritten for it"
MEASURED = "TensorFlow Lite 2.10 (as published)"
OLD_PIXEL = "TensorFlow Lite 2020 (own kernels)"
RUY = "TensorFlow Lite 2.4.1 (ruy)"
RELAX = "TVM 0.27 (schedules of ofa-edge)"
ORT = "ONNX Runtime 1.31 (CPU kernels)"
BOARDS = ("host", "raspberry-pi-4", "raspberry-pi-5")  # targets that build for ONNX Runtime
HALF_TVM = ("raspberry-pi-5",)  # targets for which TVM builds with fp16 sums

_HALF = (
    " fp16 files hold half-size weights, which XNNPACK unpacks to fp32 when it loads them, so these are the fp32 "
    "coefficients; where a core computes in fp16 it may be faster."
)
_DYNAMIC = (
    " No figure for dynamic range exists: these are the fp32 coefficients. Its products of int8 weights should be "
    "faster where the CPU has a dot product; its depthwise convolutions run in fp32."
)
_STRUCTURE = (
    " The shares of the single terms lean on all settings of the same back end fitted together (XNNPACK and TFLite's "
    "own kernels are stacks apart, and share only how far a device falls short of its peaks). Depthwise kernels of "
    "more than 25 taps count as the sums of smaller ones that the exporter makes of them."
)


@dataclass(frozen=True)
class Entry:
    """One model of a latency file, and where its coefficients are found in the joint fit."""

    target: str
    device: str
    runtime: str
    version: str
    precision: str
    threads: int
    kind: Literal["published", "analytic"]
    setting: str
    fitted_to: str
    source_names: tuple[str, ...]
    checks: Literal["families", "devices"]
    carried: Literal["", "tvm-cpu", "tvm-cuda", "ort-fp32", "ort-int8"] = ""

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the measurements were published."""
        return tuple(SOURCES[name] for name in self.source_names)


def _cpu(
    target: str,
    device: str,
    soc: str,
    *,
    threads: int,
    kind: Literal["published", "analytic"],
    words: str,
    here: bool = False,
    phone: bool = False,
) -> list[Entry]:
    """A target's models; `here`: XNNPACK was measured on it, `phone`: TFLite 2.10 was."""
    sources = (*_SHARED, "ncnn")

    def entry(precision: str, backend: str, version: str, fitted_to: str) -> Entry:
        compute = "int8" if precision == "int8" else "fp32"
        how = "analytic" if precision == "dynamic" else kind
        setting = f"{soc}/{backend}/{compute}/{threads}"
        checks: Literal["families", "devices"] = "families" if here or backend != "xnnpack" else "devices"
        return Entry(target, device, "tflite", version, precision, threads, how, setting, fitted_to, sources, checks)

    entries = [
        entry("fp32", "xnnpack", XNNPACK, words + _STRUCTURE),
        entry("fp16", "xnnpack", XNNPACK, words + _STRUCTURE + _HALF),
        entry("dynamic", "xnnpack", XNNPACK, words + _STRUCTURE + _DYNAMIC),
        entry("int8", "xnnpack", XNNPACK, words + _STRUCTURE),
    ]
    if target == "raspberry-pi-4":
        old = (
            "TFLite 2.4.1 with ruy, {}, threads not recorded (4 cores): {} MobileNet V1 and V2 networks (MLPerf v1.0)."
        )
        entries.append(entry("fp32", "tflite@2.4.1", RUY, old.format("fp32", 38)))
        entries.append(entry("int8", "tflite@2.4.1", RUY, old.format("int8", 37)))
    if phone:
        old = "TFLite 2.10 on this phone, {}, 77 networks on one to four threads of each kind of core." + _STRUCTURE
        entries.append(entry("fp32", PHONES, MEASURED, old.format("fp32")))
        entries.append(entry("int8", PHONES, MEASURED, old.format("int8")))
    if target == "pixel-4":
        old = "TFLite's own kernels on a Pixel 4, {}, 4 threads on big cores (2020): {}." + _STRUCTURE
        entries.append(entry("fp32", "tflite@2020", OLD_PIXEL, old.format("fp32", "MobileNetV1 and SqueezeNet")))
        entries.append(entry("int8", "tflite@2020", OLD_PIXEL, old.format("int8", "MobileNetV1")))
    beside = (
        "No measurement of these schedules on this device exists. XNNPACK's estimate on as many threads times 0.8, "
        "within a factor of 1.5 either way: beside rewritten TFLite on one thread, OFA-MobileNetV3 subnets took "
        "0.74 and 0.84 of its time on one x86 machine and 0.82 of its instructions on an emulated Cortex-A72 "
        "(benchmarks/tvm_cpu.py). Depthwise kernels of more than 25 taps cost what smaller ones do."
    )
    half = " fp16 sums need fewer instructions, but these are the coefficients of fp32 arithmetic."
    setting = f"{soc}/xnnpack/fp32/{threads}"
    for precision, fitted_to in (("fp32", beside), ("fp16", beside + half)):
        if precision == "fp32" or target in HALF_TVM:
            entries.append(
                Entry(
                    target,
                    device,
                    "tvm",
                    RELAX,
                    precision,
                    threads,
                    "analytic",
                    setting,
                    fitted_to,
                    sources,
                    "devices",
                    "tvm-cpu",
                )
            )
    return entries + (_ort(target, device, soc, threads, sources) if target in BOARDS else [])


def _ort(target: str, device: str, soc: str, threads: int, sources: tuple[str, ...]) -> list[Entry]:
    never = "No measurement of ONNX Runtime on this device entered this model. XNNPACK's estimate on as many threads, "
    words = {
        "fp32": "within a factor of 2 either way: beside rewritten TFLite on one thread of one x86 machine it took 0.6 "
        "to 1.1 times as long for OFA-MobileNetV3 subnets of width 1.0, 1.0 to 2.8 times for small networks at 28 "
        "pixels (docs/benchmarks/artifacts.md). Depthwise kernels of more than 25 taps cost what smaller ones do.",
        "int8": "within a factor of 3 either way: hard-swish, hard-sigmoid and means stay in fp32 between conversions. "
        "Depthwise kernels of more than 25 taps cost what smaller ones do.",
    }
    return [
        Entry(
            target,
            device,
            "onnxruntime",
            ORT,
            precision,
            threads,
            "analytic",
            f"{soc}/xnnpack/{precision}/{threads}",
            never + words[precision],
            sources,
            "devices",
            carried,
        )
        for precision, carried in (("fp32", "ort-fp32"), ("int8", "ort-int8"))
    ]


CPU_ENTRIES: tuple[Entry, ...] = (
    *_cpu(
        "raspberry-pi-4",
        "Raspberry Pi 4 Model B",
        "bcm2711",
        threads=4,
        kind="published",
        here=True,
        words="XNNPACK on this board, 64-bit, fp32 and int8: MobileNet V1 and V2 on 4 threads (2022); and, for how far "
        "the board falls short of its peaks, EfficientDet-Lite (TFLite 2.18), TFLite 2.4.1 (75 networks) and ncnn.",
    ),
    *_cpu(
        "raspberry-pi-5",
        "Raspberry Pi 5",
        "bcm2712",
        threads=4,
        kind="published",
        words="XNNPACK on other devices, carried over by how EfficientDet-Lite (TFLite 2.18, 1 to 4 threads) and ncnn "
        "compare this board with the Raspberry Pi 4. No classifier was measured on it.",
    ),
    *_cpu(
        "pixel-4",
        "Google Pixel 4",
        "sd855",
        threads=4,
        kind="published",
        phone=True,
        words="XNNPACK on other devices, carried over by how fast this one is with TFLite 2.10: 77 networks, fp32 and "
        "int8, on each kind of core; and with TFLite of 2020 on 4 threads (3 figures).",
    ),
    *_cpu(
        "galaxy-s10",
        "Samsung Galaxy S10",
        "exynos9820",
        threads=2,
        kind="published",
        phone=True,
        words="XNNPACK on other devices, carried over by how fast this one is with TFLite 2.10: 77 networks, fp32 and "
        "int8, on its two large cores.",
    ),
    *_cpu(
        "galaxy-a03s",
        "Samsung Galaxy A03s",
        "mt6765",
        threads=4,
        kind="published",
        phone=True,
        words="XNNPACK on other devices, carried over by how fast this one is with TFLite 2.10: 77 networks, fp32 and "
        "int8, on its four faster cores.",
    ),
    *_cpu(
        "pixel-7",
        "Google Pixel 7",
        "tensor-g2",
        threads=4,
        kind="analytic",
        words="No public figures for this device exist. XNNPACK on other devices, carried over by the hardware's "
        "peaks.",
    ),
    *_cpu(
        "host",
        "the machine at hand (assumed x86-64 with AVX2)",
        "x86",
        threads=1,
        kind="analytic",
        words="Nothing was measured here. XNNPACK on Arm CPUs, carried over by an assumed core of 96 GMAC/s, within a "
        "factor of 1.5 either way more.",
    ),
)


def _gpu(target: str, device: str, name: str, words: str) -> list[Entry]:
    note = (
        " Stands halfway between TensorRT (hand-tuned kernels) and PyTorch (library kernels with a framework's "
        "overhead), as unsure as the two differ and a factor of 1.5 more, 2 for depthwise convolutions: no GPU has run "
        "our schedules yet. "
        "Copies to and from the GPU are in the data or not, as each source chose."
    )
    return [
        Entry(
            target,
            device,
            "tvm-cuda",
            "TVM 0.27 (CUDA schedules of ofa-edge)",
            precision,
            1,
            "analytic",
            f"{name}/tensorrt/{precision}",
            words + note,
            _GPU,
            "devices",
            "tvm-cuda",
        )
        for precision in ("fp32", "fp16")
    ]


GPU_ENTRIES: tuple[Entry, ...] = (
    *_gpu(
        "jetson-nano",
        "NVIDIA Jetson Nano",
        "nano",
        "TVM itself was never measured on this board. TensorRT (torch2trt) and PyTorch, fp16, on a Jetson Nano: "
        "SqueezeNet, ResNet, DenseNet, VGG; fp32 carried over by TensorRT on a Jetson TX2 and by the peaks.",
    ),
    *_gpu(
        "jetson-orin-nano",
        "NVIDIA Jetson Orin Nano",
        "orin-nano",
        "Neither TVM nor TensorRT figures for this board are at hand. TensorRT and PyTorch on a Jetson Nano and AGX "
        "Xavier, carried over by the hardware's peaks and by how ncnn (Vulkan) compares the boards.",
    ),
)
