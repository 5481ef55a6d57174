"""Networks of others to TFLite: how many convert, how near they are to ONNX Runtime, and where the others stop.

    pip install timm onnxscript                       # and the torchvision that fits the torch at hand
    python benchmarks/any_network.py run              # each by each of torch's exporters; resumes
    python benchmarks/any_network.py table > docs/benchmarks/any_network.md

Networks of timm with random weights at their own resolution, exported, simplified with onnxsim, converted to fp32, and
run over two random images. Weights make no difference to which operators there are; they would to int8. What a network
begins with at 0 or nearly so (heads, scales of branches) is drawn anew: else a branch that is wrong would not be seen.
"""

import argparse
import contextlib
import io
import json
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from ofa_edge.errors import OfaEdgeError
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.onnx.simplifier import simplify
from ofa_edge.export.tflite.convert import convert, operators, run_tflite
from ofa_edge.files import write_json
from ofa_edge.verify.parity import compare

RECORDED = Path(__file__).parent / "any_network_results.json"
EXPORTERS = ("dynamo", "legacy")
OPSET = 17  # of the legacy exporter
GOAL_DB = 90.0
LEAST = 1e-3  # of the largest number of a parameter that is left as it is
NAMES = (
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "mobilenetv4_conv_small",
    "efficientnet_lite0",
    "efficientnet_b0",
    "mnasnet_100",
    "lcnet_050",
    "tinynet_e",
    "ghostnet_100",
    "mobileone_s0",
    "repvit_m0_9",
    "fastvit_t8",
    "mobilevit_xxs",
    "efficientvit_b0",
    "efficientformer_l1",
    "edgenext_xx_small",
    "poolformer_s12",
    "resnet18",
    "resnet50",
    "resnest14d",
    "seresnet50",
    "regnety_002",
    "densenet121",
    "inception_v3",
    "xception41",
    "convnext_atto",
    "mixer_s16_224",
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
    "hardcorenas_a",
    "semnasnet_075",
    "fbnetc_100",
    "spnasnet_100",
    "repghostnet_050",
    "regnetx_002",
    "pvt_v2_b0",
    "pit_ti_224",
    "levit_128s",
    "visformer_tiny",
    "coat_tiny",
    "gcvit_xxtiny",
    "crossvit_tiny_240",
    "mvitv2_tiny",
    "nextvit_small",
    "eca_botnext26ts_256",
    "coatnet_nano_rw_224",
    "twins_pcpvt_small",
    "xcit_nano_12_p8_224",
    "hgnetv2_b0",
    "starnet_s1",
    "fasternet_t0",
    "shvit_s1",
    "efficientvit_m0",
    "rexnet_100",
    "mambaout_femto",
    "dla34",
    "hrnet_w18_small",
    "lambda_resnet26t",
    "sequencer2d_s",
    "tiny_vit_5m_224",
    "mobilevitv2_050",
    "repvgg_a0",
    "mixnet_s",
    "ghostnetv2_100",
    "skresnet18",
    "res2net50_26w_4s",
    "ese_vovnet19b_dw",
    "convit_tiny",
)
_PACKAGES = ("timm", "torch", "onnx", "onnxsim", "onnxscript", "tensorflow-cpu", "ai-edge-litert", "onnxruntime")


def draw_anew(net: torch.nn.Module) -> None:
    """What begins at 0 or nearly so, and with it all that is behind it in a branch: weights, scales, batch norms'."""
    with torch.no_grad():
        for each in net.parameters():
            if (each.ndim > 1 and not each.any()) or 0 < float(each.abs().max()) < LEAST:
                torch.nn.init.normal_(each, std=0.1)
        for module in net.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and not module.weight.any():
                torch.nn.init.ones_(module.weight)


def made(name: str) -> tuple[torch.nn.Module, tuple[int, ...]]:
    """A network with random weights, the same at every call, and the shape of its input."""
    import timm

    torch.manual_seed(0)
    net = timm.create_model(name, pretrained=False).eval()
    draw_anew(net)
    return net, (1, *net.default_cfg["input_size"])


def export(name: str, exporter: str, path: Path) -> tuple[int, ...]:
    """Write the simplified ONNX file of a network; the shape of its input."""
    net, shape = made(name)
    options: dict[str, Any] = {"dynamo": True, "external_data": False} if exporter == "dynamo" else {"dynamo": False}
    if exporter == "legacy":
        options["opset_version"] = OPSET
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        torch.onnx.export(net, (torch.zeros(shape),), str(path), **options)
    simple, _ = simplify(onnx.load(path))
    onnx.save(simple, path)
    return shape


def tried(name: str, exporter: str) -> dict[str, Any]:
    """What became of one network."""
    with tempfile.TemporaryDirectory(prefix="ofa-any-") as folder:
        source, out = Path(folder) / "model.onnx", Path(folder) / "model.tflite"
        try:
            shape = export(name, exporter, source)
        except Exception as error:  # whatever an exporter raises: it is no fault of the conversion's
            return {"exported": False, "reason": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        start = time.monotonic()
        try:
            convert(source, out, "fp32")
        except OfaEdgeError as error:
            return {"exported": True, "reason": f"{error.what}: {error.why}"}
        images = np.random.default_rng(1).standard_normal((2, *shape[1:])).astype(np.float32)
        answers = {"onnxruntime": run_onnx(source, images), "tflite": run_tflite(out, images)}
        found = compare(answers["onnxruntime"], answers["tflite"])
        used = operators(out)
        return {
            "exported": True,
            "snr_db": round(found.snr_db, 1),
            **({} if found.snr_db >= GOAL_DB else {"of_float64": beside_float64(name, images, answers)}),
            "operators": len(used),
            "transposes": used.count("TRANSPOSE"),
            "seconds": round(time.monotonic() - start, 1),
        }


def beside_float64(name: str, images: np.ndarray, answers: dict[str, np.ndarray]) -> dict[str, float]:
    """Of each answer beside torch's in float64, dB: whether a conversion errs, or float32 has no more to give."""
    net, _ = made(name)
    with torch.no_grad():
        exact = net.double()(torch.from_numpy(images).double()).numpy()
    return {who: round(compare(exact, answer).snr_db, 1) for who, answer in answers.items()}


def run(names: list[str], exporters: list[str]) -> None:
    """Try what was not tried under these versions; written after each."""
    versions = {name: metadata.version(name) for name in _PACKAGES}
    known = json.loads(RECORDED.read_bytes()) if RECORDED.is_file() else {}
    found = known.get("found", {}) if known.get("versions") == versions else {}
    for exporter in exporters:
        for name in names:
            key = f"{name} {exporter}"
            if key not in found:
                found[key] = tried(name, exporter)
                print(key, found[key], flush=True)
                write_json(RECORDED, {"versions": versions, "found": dict(sorted(found.items()))})


def page() -> str:
    """All of docs/benchmarks/any_network.md."""
    recorded = json.loads(RECORDED.read_bytes())
    found = recorded["found"]
    names = list(dict.fromkeys(key.split()[0] for key in found))
    lines = [
        "# Results: networks of others to TFLite\n",
        "Printed by `python benchmarks/any_network.py table`; made by `python benchmarks/any_network.py run`.\n",
        "Networks of timm with random weights at their own resolution (heads and scales of branches that begin at 0, or"
        " nearly, are drawn anew), exported by both of torch's exporters, simplified with onnxsim, converted to fp32."
        " dB: signal over noise of all logits beside ONNX Runtime, two random images. Transposes are those left in the"
        " file. A row is kept while the versions stay: rewrites that came later may leave fewer operators.\n",
        f"Versions: {', '.join(f'{name} {version}' for name, version in recorded['versions'].items())}.\n",
        f"| network |{''.join(f' {each} dB | operators | transposes |' for each in EXPORTERS)}",
        "|---" * (1 + 3 * len(EXPORTERS)) + "|",
    ]
    for name in names:
        cells = "".join(_cells(found.get(f"{name} {exporter}")) for exporter in EXPORTERS)
        lines.append(f"| {name} |{cells}")
    lines.append("")
    for exporter in EXPORTERS:
        own = [each for key, each in found.items() if key.endswith(f" {exporter}") and each["exported"]]
        near = [each for each in own if each.get("snr_db", 0) >= GOAL_DB]
        if not own:
            lines.append(f"{exporter}: not tried.\n")
            continue
        lines.append(f"{exporter}: {len(near)} of {len(own)} convert at {GOAL_DB:g} dB or better.\n")
    below = [(key, each["of_float64"]) for key, each in found.items() if "of_float64" in each]
    if below:
        lines.append("## Below it\n\nBeside torch's answers in float64 instead of ONNX Runtime's, dB:\n")
        lines += [f"- {key}: ONNX Runtime {both['onnxruntime']:g}, TFLite {both['tflite']:g}" for key, both in below]
        lines.append("")
    reasons = [f"- {key}: {each['reason']}" for key, each in found.items() if "reason" in each]
    return "\n".join([*lines, *(["## Not converted\n", *reasons, ""] if reasons else [])])


def _cells(each: dict[str, Any] | None) -> str:
    if each is None:
        return " | | |"
    if "reason" in each:
        return f" {'no' if each['exported'] else 'not exported'} | | |"
    return f" {each['snr_db']:g} | {each['operators']} | {each['transposes']} |"


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("--name", action="append", help="these alone")
    parser.add_argument("--exporter", action="append", choices=EXPORTERS, help="these alone")
    options = parser.parse_args()
    if options.command == "run":
        run(options.name or list(NAMES), options.exporter or list(EXPORTERS))
    else:
        print(page(), end="")


if __name__ == "__main__":
    main()
