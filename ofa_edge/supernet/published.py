"""The files that the authors of Once-For-All published: where they are and what is known of them. None ships here.

Addresses are those that the reference package reads (PyPI `ofa` 0.1.0.post202307202001, and its repository's head of
September 2023). Their hosts have moved before. A size or digest that nobody published is None.
"""

from dataclasses import dataclass
from typing import Literal

from ofa_edge.errors import UsageError
from ofa_edge.shown import pasteable

Kind = Literal["supernet", "full network", "network", "accuracy predictor", "latency table"]

LICENCE = "none is stated beside the files; the package that loads them is under the MIT licence"
_FILES = "https://raw.githubusercontent.com/han-cai/files/master/ofa/"
_LARGE_FILES = "https://media.githubusercontent.com/media/han-cai/files/master/ofa/"
_RESNET = "ofa_resnet50_d0-1-2_e0.2-0.25-0.35_w0.65-0.8-1.0"
PARTS = ("net.config", "run.config", "init")  # of a specialised network; its address is that of their folder


@dataclass(frozen=True)
class PublishedFile:
    """One published file, or the three of a specialised network.

    Attributes:
        name: what it is called by.
        kind: what it holds.
        address: of the file; of a specialised network's folder.
        command: what to do with it, once it is here.
        size: in bytes, where it is known.
        sha256: where it is known.
        source: who says so.
    """

    name: str
    kind: Kind
    address: str
    command: str
    size: int | None = None
    sha256: str | None = None
    source: str = ""

    @property
    def file(self) -> str:
        """The name that it has at its address."""
        return self.address.rstrip("/").rpartition("/")[2]

    @property
    def known(self) -> str:
        """Its size and digest in words."""
        size = "size not known" if self.size is None else f"{self.size:,} bytes"
        digest = "SHA-256 not known" if self.sha256 is None else f"SHA-256 {self.sha256} ({self.source})"
        return f"{size}, {digest}"

    @property
    def advice(self) -> str:
        """What to do where the file is not here yet: a line to be pasted, where a digest allows a download."""
        if self.sha256 is not None and self.kind == "supernet":
            return pasteable("ofa-edge", "zoo", "import", self.address, "--sha256", self.sha256)
        if self.kind == "network":
            return f"bring {', '.join(PARTS)} from {self.address} into a folder {self.file} here, then {self.command}"
        return f"bring {self.address} here, then {self.command}"


def _import(*arguments: str) -> str:
    return pasteable("ofa-edge", "zoo", "import", *arguments)


def _supernet(name: str, size: int | None = None, sha256: str | None = None, source: str = "") -> PublishedFile:
    resnet = name == "ofa_resnet50"
    address = f"{_LARGE_FILES if resnet else _FILES}ofa_nets/{_RESNET if resnet else name}"
    file = address.rpartition("/")[2]
    return PublishedFile(name, "supernet", address, _import(file), size, sha256, source)


def _network(name: str) -> PublishedFile:
    folder = name.replace("@", "-")
    return PublishedFile(name, "network", f"{_FILES}ofa_specialized/{folder}/", _import(folder))


def _table(size: int) -> PublishedFile:
    supernet = "ofa_mbv3_d234_e346_k357_w1.2"
    command = f"ofa-edge latency import 160_lookup_table.yaml ... --supernet {supernet} --name note10 ..."
    address = f"{_FILES}note10/{size}_lookup_table.yaml"
    return PublishedFile(f"note10 {size} px", "latency table", address, command)


# As the README of the reference lists them: "@" stands for "-" in addresses. Numbers: top-1, and epochs of fine-tuning.
_NETWORKS = """
flops@595M_top1@80.0_finetune@75 flops@482M_top1@79.6_finetune@75 flops@389M_top1@79.1_finetune@75
resnet50D_MAC@4.1B_top1@79.8 resnet50D_MAC@3.7B_top1@79.7 resnet50D_MAC@3.0B_top1@79.3 resnet50D_MAC@2.4B_top1@79.0
resnet50D_MAC@1.8B_top1@78.3 resnet50D_MAC@1.2B_top1@77.1_finetune@25 resnet50D_MAC@0.9B_top1@76.3_finetune@25
resnet50D_MAC@0.6B_top1@75.0_finetune@25
LG-G8_lat@24ms_top1@76.4_finetune@25 LG-G8_lat@16ms_top1@74.7_finetune@25 LG-G8_lat@11ms_top1@73.0_finetune@25
LG-G8_lat@8ms_top1@71.1_finetune@25
s7edge_lat@88ms_top1@76.3_finetune@25 s7edge_lat@58ms_top1@74.7_finetune@25 s7edge_lat@41ms_top1@73.1_finetune@25
s7edge_lat@29ms_top1@70.5_finetune@25
note8_lat@65ms_top1@76.1_finetune@25 note8_lat@49ms_top1@74.9_finetune@25 note8_lat@31ms_top1@72.8_finetune@25
note8_lat@22ms_top1@70.4_finetune@25
note10_lat@64ms_top1@80.2_finetune@75 note10_lat@50ms_top1@79.7_finetune@75 note10_lat@41ms_top1@79.3_finetune@75
note10_lat@30ms_top1@78.4_finetune@75 note10_lat@22ms_top1@76.6_finetune@25 note10_lat@16ms_top1@75.5_finetune@25
note10_lat@11ms_top1@73.6_finetune@25 note10_lat@8ms_top1@71.4_finetune@25
pixel1_lat@143ms_top1@80.1_finetune@75 pixel1_lat@132ms_top1@79.8_finetune@75 pixel1_lat@79ms_top1@78.7_finetune@75
pixel1_lat@58ms_top1@76.9_finetune@75 pixel1_lat@40ms_top1@74.9_finetune@25 pixel1_lat@28ms_top1@73.3_finetune@25
pixel1_lat@20ms_top1@71.4_finetune@25
pixel2_lat@62ms_top1@75.8_finetune@25 pixel2_lat@50ms_top1@74.7_finetune@25 pixel2_lat@35ms_top1@73.4_finetune@25
pixel2_lat@25ms_top1@71.5_finetune@25
1080ti_gpu64@27ms_top1@76.4_finetune@25 1080ti_gpu64@22ms_top1@75.3_finetune@25
1080ti_gpu64@15ms_top1@73.8_finetune@25 1080ti_gpu64@12ms_top1@72.6_finetune@25
v100_gpu64@11ms_top1@76.1_finetune@25 v100_gpu64@9ms_top1@75.3_finetune@25 v100_gpu64@6ms_top1@73.0_finetune@25
v100_gpu64@5ms_top1@71.6_finetune@25
tx2_gpu16@96ms_top1@75.8_finetune@25 tx2_gpu16@80ms_top1@75.4_finetune@25 tx2_gpu16@47ms_top1@72.9_finetune@25
tx2_gpu16@35ms_top1@70.3_finetune@25
cpu_lat@17ms_top1@75.7_finetune@25 cpu_lat@15ms_top1@74.6_finetune@25 cpu_lat@11ms_top1@72.0_finetune@25
cpu_lat@10ms_top1@71.1_finetune@25
"""

FILES: tuple[PublishedFile, ...] = (
    _supernet(
        "ofa_mbv3_d234_e346_k357_w1.0",
        31_011_816,
        "a7def36bb4e4c688c16d37eb60d5d34b2e6dcf6438c05bc86dea918fda04c6c7",
        "as another project recorded its download in April 2026",
    ),
    _supernet("ofa_mbv3_d234_e346_k357_w1.2"),
    _supernet("ofa_proxyless_d234_e346_k357_w1.3"),
    _supernet(
        "ofa_resnet50",
        192_773_235,
        "3406a4c852f4573a58e9a01f35406baa4ad3787044ffadc6ea45571ad2b9123a",
        "as the authors' repository points to it",
    ),
    PublishedFile("ofa_D4_E6_K7", "full network", f"{_FILES}ofa_checkpoints/ofa_D4_E6_K7", _import("ofa_D4_E6_K7")),
    PublishedFile(
        "acc_predictor",
        "accuracy predictor",
        f"{_FILES}acc_predictor.pth",
        _import("ofa_mbv3_d234_e346_k357_w1.2", "--predictor", "acc_predictor.pth"),
    ),
    PublishedFile(
        "ofa_resnet50_acc_predictor",
        "accuracy predictor",
        f"{_FILES}ofa_resnet50_acc_predictor.pth",
        _import(_RESNET, "--predictor", "ofa_resnet50_acc_predictor.pth"),
    ),
    *map(_table, (160, 176, 192, 208, 224)),
    *map(_network, _NETWORKS.split()),
)


def published(name: str) -> PublishedFile | None:
    """The published file of a name: as it is called here, at its address, or with "@" for "-"."""
    return next((each for each in FILES if name in (each.name, each.file, each.name.replace("@", "-"))), None)


def not_here(found: PublishedFile) -> UsageError:
    """That a published file was named, and is not in this folder."""
    article = "an" if found.kind[0] in "aeiou" else "a"
    return UsageError(
        f"no file or folder '{found.name}' here",
        f"it is {article} {found.kind} of others at {found.address}: {found.known}; none is fetched without a digest",
        found.advice,
    )
