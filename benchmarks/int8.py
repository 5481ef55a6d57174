"""int8 before and after: the converter's ranges, ranges that lose least, and the worst layers in fp32.

    python benchmarks/int8.py run              # 12 random subnets of the default supernet; resumes
    python benchmarks/int8.py wide             # the first of them with 16-bit activations
    python benchmarks/int8.py published        # a subnet of a published space with random weights, at its own size
    python benchmarks/int8.py table > docs/benchmarks/int8.md    # with what int8_qat.py and int8_trained.py found

Each subnet is extracted, calibrated and exported as a build does it. Layers are chosen, and signal to noise is aimed
at, on 100 validation images; what the table says of answers is of the 2,000 test images. Times are ratios, measured in
turn on the machine that runs this.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import textwrap
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.files import write_json
from ofa_edge.metrics import argmax, paired_drop
from ofa_edge.space import Subnet
from ofa_edge.supernet.zoo import SupernetPackage, open_supernet
from ofa_edge.verify.parity import compare
from ofa_edge.vocabulary import Allowed

RECORDED = Path(__file__).parent / "int8_results.json"
PUBLISHED = Path(__file__).parent / "int8_published_results.json"
WIDE = Path(__file__).parent / "int8_wide_results.json"
TRIED = Path(__file__).parent / "int8_tried_results.json"
QAT = Path(__file__).parent / "int8_qat_results.json"
TRAINED = Path(__file__).parent / "int8_trained_results.json"
SUBNETS, CALIBRATION, CHOSEN_ON = 12, 500, 100
AIM = Allowed(snr_db=30.0)
STAGES = ("converter", "fitted", "mixed")


def subnets(package: SupernetPackage) -> list[Subnet]:
    """The subnets of the table."""
    return [package.space.subnet(each) for each in package.space.sample(np.random.default_rng(0), SUBNETS)]


def exported(package: SupernetPackage, subnet: Subnet, folder: Path) -> tuple[Path, dict[str, NDArray[np.float32]]]:
    """The ONNX file, and the inputs of each set of images."""
    from ofa_edge.export.onnx.export import export_onnx
    from ofa_edge.supernet.evaluate import extract_calibrated
    from ofa_edge.supernet.fold import fold_batch_norm
    from ofa_edge.workflows.build.images import synthetic_data

    preprocessing = package.preprocessing(subnet.resolution)
    if package.trained:
        sets = {"calibration": package.images("calibration").sample(CALIBRATION), "test": package.images("test")}
        sets["validation"] = package.images("validation").sample(CHOSEN_ON)
    else:
        data = synthetic_data(package)
        sets = {"calibration": data.calibration, "test": data.test}
    net = extract_calibrated(package.load(), subnet, sets["calibration"], preprocessing)
    path = folder / "model.onnx"
    export_onnx(fold_batch_norm(net), (1, package.space.in_channels, subnet.resolution, subnet.resolution), path)
    return path, {name: preprocessing.apply(images.pixels) for name, images in sets.items()}


def measured(package: SupernetPackage, subnet: Subnet, folder: Path) -> dict[str, Any]:
    """One row."""
    from ofa_edge.export.onnx.run import run_onnx
    from ofa_edge.export.tflite.choosing import choose, time_ratio
    from ofa_edge.export.tflite.convert import convert
    from ofa_edge.export.tflite.int8_blame import pair_of
    from ofa_edge.export.tflite.rewrites import FITTED
    from ofa_edge.export.tflite.running import answers_of

    onnx, inputs = exported(package, subnet, folder)
    made = {}
    for name, skip in (("converter", FITTED), ("fitted", [])):
        path = folder / f"{name}.tflite"
        convert(onnx, path, "int8", inputs["calibration"], skip)
        made[name] = path.read_bytes()
    made["mixed"], record = choose(pair_of(folder / "fitted.tflite", onnx), inputs["validation"], None, AIM)
    labels, exact = package.images("test").labels, run_onnx(onnx, inputs["test"])
    right = argmax(exact) == labels
    row: dict[str, Any] = {"subnet": subnet.id, "resolution": subnet.resolution, "fp32": float(right.mean())}
    for name, content in made.items():
        answers = answers_of(content, inputs["test"])
        drop = paired_drop(right, argmax(answers) == labels)
        row[name] = {
            "snr_db": compare(exact, answers).snr_db,
            "drop": drop.drop,
            "low95": drop.low95,
            "high95": drop.high95,
            "size": len(content),
        }
    row["ratio"] = {
        "fitted": time_ratio(made["fitted"], made["converter"]),
        "mixed": time_ratio(made["mixed"], made["fitted"]),
    }
    row["floats"], row["operators"], row["reached"] = record.operators, record.of_operators, record.reached
    row["worst"] = [[each.layer, each.share] for each in record.blame.layers[:3]]
    return row


def run() -> None:
    """Measure what is not there yet."""
    package = open_supernet("fashion-mnist")
    found = json.loads(RECORDED.read_text()) if RECORDED.exists() else {"rows": []}
    for subnet in subnets(package):
        if any(row["subnet"] == subnet.id for row in found["rows"]):
            continue
        with tempfile.TemporaryDirectory() as folder:
            found["rows"].append(measured(package, subnet, Path(folder)))
        found["versions"] = {name: metadata.version(name) for name in ("ai-edge-litert", "tensorflow-cpu")}
        found["machine"] = platform.machine()
        write_json(RECORDED, found)
        print(found["rows"][-1]["subnet"], found["rows"][-1]["fitted"], file=sys.stderr, flush=True)


def wide() -> None:
    """The time of 16-bit activations, over int8's: by LiteRT's own kernels, for XNNPACK has none."""
    import tensorflow as tf

    from ofa_edge.export.onnx.graph import read_graph
    from ofa_edge.export.tflite.choosing import time_ratio
    from ofa_edge.export.tflite.convert import convert, convert_twin
    from ofa_edge.export.tflite.rewrites import rewrite
    from ofa_edge.export.tflite.tf_ops import build

    package = open_supernet("fashion-mnist")
    subnet = subnets(package)[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx, inputs = exported(package, subnet, folder)
        graph = rewrite(read_graph(onnx), "int8")
        _, channels, height, width = graph.input_shape
        module = tf.Module()
        module.run = tf.function(
            lambda input: {"logits": build(tf, graph, input)},
            input_signature=[tf.TensorSpec([1, height, width, channels], tf.float32, name="input")],
            autograph=False,
        )
        converter = tf.lite.TFLiteConverter.from_concrete_functions([module.run.get_concrete_function()], module)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [np.ascontiguousarray(each.transpose(1, 2, 0)[None])] for each in inputs["calibration"][:100]
        )
        kinds = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [kinds]
        content = bytes(converter.convert())
        convert(onnx, folder / "int8.tflite", "int8", inputs["calibration"])
        convert_twin(onnx, folder / "fp32.tflite")
        int8, fp32 = ((folder / f"{each}.tflite").read_bytes() for each in ("int8", "fp32"))
        ratios = {"w8a16": time_ratio(content, int8), "fp32": time_ratio(fp32, int8)}
    write_json(WIDE, {"subnet": subnet.id, **ratios})


def published() -> None:
    """Random weights, batch norms calibrated: nothing that training would have made smooth."""
    from ofa_edge.export.onnx.run import run_onnx
    from ofa_edge.export.tflite.convert import convert, run_tflite
    from ofa_edge.export.tflite.rewrites import FITTED

    package = open_supernet("ofa_mbv3_d234_e346_k357_w1.0", untrained=True)
    subnet = package.space.subnet(package.space.sample(np.random.default_rng(0), 1, 192)[0])
    row: dict[str, Any] = {"space": package.name, "subnet": subnet.id, "resolution": subnet.resolution}
    with tempfile.TemporaryDirectory() as folder:
        onnx, inputs = exported(package, subnet, Path(folder))
        exact, row["images"] = run_onnx(onnx, inputs["test"]), len(inputs["test"])
        for name, skip in (("converter", FITTED), ("fitted", [])):
            path = Path(folder) / f"{name}.tflite"
            convert(onnx, path, "int8", inputs["calibration"], skip)
            row[name] = compare(exact, run_tflite(path, inputs["test"])).snr_db
    write_json(PUBLISHED, row)


def table() -> str:
    """The page."""
    found = json.loads(RECORDED.read_text())
    rows, versions = found["rows"], found["versions"]
    made_by = f"{found['machine']}, LiteRT {versions['ai-edge-litert']}, TensorFlow {versions['tensorflow-cpu']}"
    lines = [
        "# int8: what is lost, and what it costs to lose less",
        "",
        _paragraph(
            f"""Printed by `python benchmarks/int8.py table` from `benchmarks/int8_results.json`, which `run` and
            `wide` wrote ({made_by})."""
        ),
        "",
        _paragraph(
            f"""{len(rows)} random subnets of the default supernet (seed 0): signal to noise of int8 beside fp32, and
            points of top-1 lost, on 2,000 test images. *Converter*: ranges that hold every value of the calibration
            images. *Fitted*: as builds have it, by `fit_ranges`, `fit_input`, `own_steps` and `round_weights`
            ([tflite.md](../tflite.md)). *Mixed*: the worst layers in fp32 until 30 dB were kept on 100 validation
            images (`--max-drop 30dB`)."""
        ),
        "",
        "| subnet | r | fp32 top-1 | converter dB | fitted dB | mixed dB | points lost: converter | fitted | mixed "
        "| operators in fp32 | worst layer of fitted, its share |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        decibels = " | ".join(f"{row[each]['snr_db']:.1f}" for each in STAGES)
        drops = " | ".join(f"{100 * row[each]['drop']:+.2f}" for each in STAGES)
        (worst, share), *_ = row["worst"]
        floats = f"{row['floats']} of {row['operators']}{'' if row['reached'] else ' (not reached)'}"
        lines.append(
            f"| {row['subnet']} | {row['resolution']} | {100 * row['fp32']:.2f} | {decibels} | {drops} | {floats} "
            f"| `{worst}` {100 * share:.0f} % |"
        )
    lines += [
        "",
        "| in the mean | converter | fitted | mixed |",
        "|---|---|---|---|",
        "| dB | " + " | ".join(f"{_mean(rows, each, 'snr_db'):.1f}" for each in STAGES) + " |",
        "| worst subnet, dB | "
        + " | ".join(f"{min(row[each]['snr_db'] for row in rows):.1f}" for each in STAGES)
        + " |",
        "| points of top-1 lost | " + " | ".join(f"{100 * _mean(rows, each, 'drop'):+.2f}" for each in STAGES) + " |",
        "| bytes | " + " | ".join(f"{_mean(rows, each, 'size'):,.0f}" for each in STAGES) + " |",
        f"| time over the one before, median | | {_ratio(rows, 'fitted')} | {_ratio(rows, 'mixed')} |",
        "",
        _paragraph(
            """One subnet's points are known to about half a point (95 %, Newcombe's for paired proportions): images
            are lost and won by chance as much as by int8. Decibels are not: each is over 20,000 logits. On other kinds
            of cores the mixed files' times were not measured: where int8 has a dot product, operators in fp32 cost
            more."""
        ),
    ]
    if WIDE.exists():
        wide = json.loads(WIDE.read_text())
        lines += [
            "",
            _paragraph(
                f"""16-bit activations (`w8a16`) are no way out: on {wide["subnet"]} they take {wide["w8a16"]:.1f} times
                as long as int8, where fp32 takes {wide["fp32"]:.2f} times. XNNPACK has no kernels for them, and
                LiteRT's own are slow."""
            ),
        ]
    if PUBLISHED.exists():
        row = json.loads(PUBLISHED.read_text())
        lines += [
            "",
            _paragraph(
                f"""With random weights int8 loses much more: subnet {row["subnet"]} of {row["space"]} at
                {row["resolution"]} pixels has {row["converter"]:.1f} dB with the converter's ranges and
                {row["fitted"]:.1f} with fitted ones ({row["images"]} random images)."""
            ),
        ]
    if QAT.exists():
        lines += ["", *_trained_for_int8(json.loads(QAT.read_text()))]
    if TRAINED.exists():
        lines += ["", *_of_others(json.loads(TRAINED.read_text()))]
    if TRIED.exists():
        lines += ["", *_tried(json.loads(TRIED.read_text()))]
    return "\n".join(lines) + "\n"


def _trained_for_int8(rows: list[dict[str, Any]]) -> list[str]:
    """What `finetune --qat int8` gives (`int8_qat.py`)."""
    lines = [
        "## Trained for int8",
        "",
        _paragraph(
            f"""`python benchmarks/int8_qat.py`: subnets of the table, fine-tuned for {rows[0]["epochs"]:g} of an epoch
            at the rate of `--qat`, once in their int8 form (`finetune --qat int8`) and once in fp32, then converted
            with fitted ranges. Points are of the int8 artifact, lost against the subnet in fp32 before fine-tuning, on
            2,000 test images, with 95 % intervals. *Beside its form*: the artifact's answers beside those of the int8
            form that was trained, in torch, and the share of its logits that are the same or one step apart."""
        ),
        "",
        "| subnet | fp32 top-1 before | points lost: as it is, fitted | fine-tuned in fp32, fitted | trained for int8 "
        "| in fp32 after it | beside its form | one step at most |",
        "|---|---|---|---|---|---|---|---|",
    ]
    before = {row["subnet"]: row for row in json.loads(RECORDED.read_text())["rows"]}
    for row in rows:
        drops = " | ".join(
            f"{100 * each['drop']:+.2f} ({100 * each['low95']:+.2f} .. {100 * each['high95']:+.2f})"
            for each in (before[row["subnet"]]["fitted"], row["fp32"], row["qat"])
        )
        lines.append(
            f"| {row['subnet']} | {100 * row['before']:.2f} | {drops} | {100 * row['qat']['top1_fp32']:.2f} "
            f"| {row['form_db']:.1f} dB | {100 * row['one_step']:.1f} % |"
        )
    return lines


def _of_others(row: dict[str, Any]) -> list[str]:
    """A network that others trained (`int8_trained.py`)."""
    lines = [
        "## A network that others trained",
        "",
        _paragraph(
            f"""`python benchmarks/int8_trained.py` (its first lines say where the network comes from):
            {row["network"]}, trained on ImageNet, in int8. The pictures are not ImageNet's: {row["what"]}, in
            {row["images"]} pictures that neither ranges nor layers were chosen on. So no top-1 is told, but how often
            int8 has the answer of fp32 - of 1,000 classes, on pictures that the network is unsure about, where a little
            noise is enough for another answer. {row["floats"]} of {row["operators"]} operators are in fp32 in the last
            row{"" if row["reached"] else ", and 30 dB were not reached on the images that layers were chosen by"}."""
        ),
        "",
        "| | dB | the same answer as fp32 | bytes |",
        "|---|---|---|---|",
    ]
    names = {"converter": "int8, converter's ranges", "fitted": "int8, fitted as above", "mixed": "`--max-drop 30dB`"}
    for kind, name in names.items():
        found = row[kind]
        lines.append(f"| {name} | {found['snr_db']:.1f} | {100 * found['agreement']:.1f} % | {found['size']:,} |")
    return lines


def _tried(rows: list[dict[str, Any]]) -> list[str]:
    """What did not earn its place (`int8_tried.py`)."""
    lines = ["| subnet | fitted dB | equalised, then fitted | fitted, then bias corrected |", "|---|---|---|---|"]
    for row in rows:
        figures = " | ".join(f"{row[each]:.1f}" for each in ("fitted", "equalised", "corrected"))
        lines.append(f"| {row['subnet']} | {figures} |")
    gains = {each: [row[each] - row["fitted"] for row in rows] for each in ("equalised", "corrected")}
    said = " and ".join(
        f"{each} {statistics.fmean(found):+.1f} dB ({min(found):+.1f} .. {max(found):+.1f})"
        for each, found in gains.items()
    )
    return [
        *lines,
        "",
        _paragraph(
            f"""Tried (`python benchmarks/int8_tried.py`): in the mean {said}. Equalising asks
            for layers that a ReLU joins to a depthwise one, and these networks have few; correcting biases took a run
            of the file for each layer. What came of it is `round_weights`, which looks at each layer once."""
        ),
    ]


def _paragraph(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 118)


def _mean(rows: list[dict[str, Any]], stage: str, figure: str) -> float:
    return statistics.fmean(row[stage][figure] for row in rows)


def _ratio(rows: list[dict[str, Any]], stage: str) -> str:
    found = [row["ratio"][stage] for row in rows]
    return f"{statistics.median(found):.2f} ({min(found):.2f} .. {max(found):.2f})"


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("run", "wide", "published", "table"))
    what = parser.parse_args().what
    if what == "table":
        sys.stdout.write(table())
    else:
        {"run": run, "wide": wide, "published": published}[what]()


if __name__ == "__main__":
    main()
