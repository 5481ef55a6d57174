"""A detector whose artifact decodes and suppresses its boxes itself: the network of it, and its rungs of the ladder."""

from dataclasses import dataclass, replace
from pathlib import Path

from ofa_edge.builds import MODEL
from ofa_edge.data.dataset import Samples
from ofa_edge.data.forms import FINISHED
from ofa_edge.errors import ConfigError, UnsupportedError
from ofa_edge.export.onnx.boxes import SUPPRESSIBLE
from ofa_edge.network import Interface, Network, Output
from ofa_edge.records.manifest import Rung
from ofa_edge.runtimes import FASTEST, Export, runtimes_for
from ofa_edge.verify.finished import as_finished
from ofa_edge.verify.ladder import EXACT, Answers, rung
from ofa_edge.verify.scoring import Scorer
from ofa_edge.workflows.build.account import Built
from ofa_edge.workflows.build.base import BuildOptions, Resolved
from ofa_edge.workflows.build.stages import StageRunner, run_onnx


def require_suppressible(options: BuildOptions, found: Resolved, interface: Interface) -> None:
    """Raise a UsageError where nothing can be suppressed inside the artifact that was asked for."""
    decoding, runtime = interface.decoding, found.runtime
    if decoding is None:
        task = options.model.task if options.model is not None else None
        raise ConfigError(
            f"--suppress inside with --task {task or interface.outputs[0].task}",
            "there are no boxes to suppress",
            "leave out --suppress, or --task detect",
        )
    if decoding.form not in SUPPRESSIBLE:
        raise ConfigError(
            f"--suppress inside with outputs of {decoding.form}",
            "they need no suppression: each object has one box",
            f"leave out --suppress; it is for {', '.join(SUPPRESSIBLE)}",
        )
    others = [each.name for each in runtimes_for(found.target) if each.suppresses]
    if found.contenders is not None or not runtime.suppresses:
        name = FASTEST if found.contenders is not None else runtime.name
        why = "its artifacts give raw outputs alone" if found.contenders is None else "raw outputs are what is raced"
        raise UnsupportedError(
            f"--suppress inside with --runtime {name}",
            why,
            " or ".join(
                ["leave out --suppress: boxes are suppressed outside", *(f"--runtime {other}" for other in others)]
            ),
        )


def with_suppression(runner: StageRunner, network: Network) -> Network:
    """The network with its suppression inside, as an ONNX file."""
    decoding = network.interface.decoding
    assert decoding is not None

    def produce(folder: Path) -> None:
        from ofa_edge.export.onnx.suppress import write_suppressed

        write_suppressed(network.onnx, folder / MODEL, decoding)

    entry = runner.run("suppress", {"model": network.digest, "decoding": decoding.to_json()}, ("onnx",), produce)
    inside = decoding.after_suppression()
    outputs = tuple(
        Output(name, shape, network.labels, "detect") for name, shape in zip(FINISHED, inside.shapes, strict=True)
    )
    interface = Interface(network.interface.inputs, outputs, inside)
    return replace(network, onnx=entry.path(MODEL), digest=entry.files[MODEL], interface=interface)


@dataclass(frozen=True)
class Suppressed:
    """What the device's answers are held against, and the rungs that lead there.

    Attributes:
        first: the first rung's answers, suppressed outside.
        made: the artifact's own.
        rungs: of the ONNX file and of the artifact.
    """

    first: Answers
    made: Answers
    rungs: tuple[Rung, ...]


def suppressed_rungs(
    runner: StageRunner,
    export: Export,
    built: Built,
    test: Samples,
    ends: tuple[Answers, Answers, Answers],
    scorer: Scorer | None,
) -> Suppressed:
    """Suppression inside the ONNX file and inside the artifact, each beside the same raw outputs suppressed outside.

    Args:
        runner: of the build.
        export: of the network without it.
        built: the artifact with it.
        test: images.
        ends: answers without it: of the first rung, the ONNX file and the converted one.
        scorer: of finished boxes.
    """
    network, artifact = built.network, built.artifact
    first, exported, raw = (
        replace(each, logits=as_finished(each.logits, export.decoding), name=f"{each.name}, suppressed outside")
        for each in ends
    )
    onnx = Answers(
        "onnx, suppression inside",
        run_onnx(runner, network, test),
        file=MODEL,
        size=network.onnx.stat().st_size,
    )
    (found,) = artifact.runtime.run_here(runner, replace(export, network=network), built.converted, test).answers
    made = Answers(
        f"{found.name}, suppression inside",
        found.logits,
        file=artifact.path.name,
        size=artifact.path.stat().st_size,
    )
    told = tuple(
        rung(each, beside, EXACT, scorer, finished=network.finished) for each, beside in ((onnx, exported), (made, raw))
    )
    return Suppressed(first, made, told)
