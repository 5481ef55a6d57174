"""What was found, in one file a network beside the script: the page is printed from these."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from bench_artifacts import timing
from bench_artifacts.checks import CHECK, COUNT, read_found
from bench_artifacts.conversions import folder_of, read_conversion
from bench_artifacts.networks import Network, read_facts
from bench_artifacts.peers import pinned
from bench_artifacts.tools import TOOLS, Tool
from ofa_edge.files import write_json

MACHINE = "machine.json"
_PACKAGES = ("torch", "onnx", "onnxruntime", "tensorflow-cpu", "ai-edge-litert", "apache-tvm", "ncnn", "pnnx", "numpy")


def record(chosen: Sequence[Network], work: Path, out: Path, note: str) -> None:
    """Write the results of networks, and of this machine; results of other networks are removed.

    Raises:
        SystemExit: a network was not measured.
    """
    found = {network.key: _network(network, work) for network in chosen}
    for path in out.glob("*.json"):
        path.unlink()
    for key, value in found.items():
        write_json(out / f"{key}.json", value)
    write_json(out / MACHINE, {**machine(), "note": note})


def flags() -> tuple[str, list[str]]:
    """The processor's name and what it says that it can."""
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    return named.get("model name", platform.processor()), named.get("flags", "").split()


def processor() -> dict[str, Any]:
    """The processor's name and its vector instructions."""
    name, able = flags()
    vectors = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
    return {"cpu": name, "vectors": [flag for flag in vectors if flag in able]}


def machine() -> dict[str, Any]:
    """What the figures depend on besides the networks."""
    return {
        **processor(),
        "cores": os.cpu_count(),
        "hypervisor": "hypervisor" in flags()[1],
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in _PACKAGES},
        "peers": {name: pinned(name) for name in sorted({tool.peer for tool in TOOLS if tool.peer})},
    }


def _network(network: Network, work: Path) -> dict[str, Any]:
    folder = folder_of(network, work)
    path = folder / timing.TIMING
    if not path.is_file():
        sys.exit(f"{network.key} was not measured: `convert`, `check` and `measure` first, with the same --nets")
    facts = {key: value for key, value in read_facts(folder).items() if key != "digest"}
    times = {key: value for key, value in json.loads(path.read_bytes()).items() if key != "key"}
    return {
        **facts,
        "tools": {tool.name: _tool(tool, folder) for tool in TOOLS if tool.takes(network)},
        "timing": times,
    }


def _tool(tool: Tool, folder: Path) -> dict[str, Any]:
    if not tool.suffix:
        return {}
    done = read_conversion(tool, folder)
    if done is None:
        return {"reason": "not converted"}
    check, count = (read_found(tool, folder, name) or {"found": {}} for name in (CHECK, COUNT))
    costs = {key: value for key, value in asdict(done).items() if key != "key"}
    return {**costs, **check["found"], **({"instructions": count["found"]} if count["found"] else {})}
