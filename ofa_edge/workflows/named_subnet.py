"""A subnet with its space, from the words of a command."""

from pathlib import Path

from ofa_edge.builds import Build
from ofa_edge.errors import UnsupportedError
from ofa_edge.shown import pasteable
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.given_subnet import read_subnet
from ofa_edge.supernet.zoo import open_space


def named_subnet(text: str | None, supernet: str) -> tuple[Subnet, Space]:
    """A build's own subnet and space, or one of a supernet's space; its largest by default.

    Args:
        text: the folder of a build, or what `read_subnet` takes.
        supernet: whose space it is of, where no build says its own.

    Raises:
        UnsupportedError: the build's network is of no space.
        UsageError: in one of its forms: no such subnet, supernet or build.
    """
    if text is not None and not text.lstrip().startswith("{") and Path(text).is_dir():
        build = Build.open(Path(text))
        if build.subnet is None or build.manifest.supernet is None:
            raise UnsupportedError(
                f"{text} was built from a file, and has no blocks of a space",
                f"its network is {build.manifest.network.source}",
                pasteable("ofa-edge", "predict", build.network.onnx, "--target", build.manifest.target.name),
            )
        return build.subnet, Space.from_json(build.manifest.supernet.space)
    space = open_space(supernet)
    return (space.largest() if text is None else read_subnet(text, space)), space
