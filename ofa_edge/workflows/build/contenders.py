"""Who takes part in `--runtime fastest`: every runtime that can build this precision for the target."""

from collections.abc import Mapping
from dataclasses import dataclass

from ofa_edge.errors import OfaEdgeError, UnsupportedError
from ofa_edge.runtimes import FASTEST, Runtime, broken_runtimes, require, runtimes
from ofa_edge.shown import pasteable
from ofa_edge.space import Space
from ofa_edge.targets import Target
from ofa_edge.vocabulary import Precision


@dataclass(frozen=True)
class Contenders:
    """Runtimes that are to be measured in turn.

    Attributes:
        runtimes: two at least, the target's usual one first where it is among them.
        left_out: the others that the target knows, with the reason.
    """

    runtimes: tuple[Runtime, ...]
    left_out: Mapping[str, str]


def contenders_for(target: Target, precision: Precision) -> Contenders:
    """Ask every runtime whether it can build for the target.

    Raises:
        UnsupportedError: fewer than two can.
    """
    found, left_out = list[Runtime](), dict[str, str]()
    known = runtimes()
    others = [name for name, runtime in known.items() if runtime.builds_for(target)]
    for name in dict.fromkeys((*target.runtimes, *others, *broken_runtimes())):
        try:
            runtime = require(target, name, precision)
            runtime.require_tools(target)
        except OfaEdgeError as error:
            left_out[name] = f"{error.what}: {error.why}"
        else:
            found.append(runtime)
    if len(found) < 2:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        only = f"only {found[0].name} can be built" if found else "no runtime can be built"
        raise UnsupportedError(
            f"--runtime {FASTEST}: nothing to compare for {target.name} in {precision}",
            f"{only}; {why}" if why else only,
            pasteable("ofa-edge", "build", "--target", target.name, *(["--runtime", found[0].name] if found else [])),
        )
    return Contenders(tuple(found), left_out)


def require_one_question(tune_s: float, refine: int) -> None:
    """Raise UnsupportedError for `--tune` and `--refine`, which work on one runtime."""
    for option, given in (("--tune", tune_s > 0), ("--refine", refine > 0)):
        if given:
            raise UnsupportedError(
                f"{option} with --runtime {FASTEST}",
                f"{option} works on one runtime, {FASTEST} compares all",
                f"--runtime NAME {option} first: what tuning finds is used afterwards; or leave out {option}",
            )


def predictions_text(contenders: Contenders, target: Target, space: Space, precision: Precision) -> str:
    """What latency models say of the largest subnet under each runtime, for those who cannot measure."""
    said = []
    for runtime in contenders.runtimes:
        try:
            model = runtime.latency_model(target, space, precision)
        except OfaEdgeError:
            said.append(f"{runtime.name} has no model")
            continue
        interval = model.predict(space.largest())
        said.append(
            f"{runtime.name} {interval.ms:.3g} ms ({interval.low90:.3g} .. {interval.high90:.3g}, "
            f"{model.provenance.kind})"
        )
    return f"predicted for the largest subnet, not measured: {', '.join(said)}"
