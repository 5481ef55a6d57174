"""A build of a given network: the file as it is, prepared as our own exports are; then `finish`."""

import json
from collections.abc import Sequence
from pathlib import Path

from ofa_edge.builds import MODEL
from ofa_edge.cache import StageCache
from ofa_edge.errors import ConfigError
from ofa_edge.export.onnx.pieces import in_pieces
from ofa_edge.files import write_json
from ofa_edge.latency.onnx_operators import read_operators
from ofa_edge.network import Network, Origin
from ofa_edge.onnx_weights import count_weights
from ofa_edge.records.licences import said_licences
from ofa_edge.records.manifest import Manifest
from ofa_edge.runtimes.answers import answers_of
from ofa_edge.verify.ladder import EXACT, HALF, Answers
from ofa_edge.workflows.build.account import Start
from ofa_edge.workflows.build.finish import check_devices, finish
from ofa_edge.workflows.build.model_plan import ModelPlan
from ofa_edge.workflows.build.stages import OnStage, StageRunner, require_finite
from ofa_edge.workflows.build.suppression import with_suppression

CHANGES = "changes.json"


def build_model(plan: ModelPlan, cache: StageCache, command: Sequence[str], on_stage: OnStage) -> Manifest:
    """Run a plan. Stages already in the cache are not run again, so a build that was interrupted goes on.

    Args:
        plan: what to build.
        cache: where stages' results are kept.
        command: for the manifest.
        on_stage: told of each stage.

    Returns:
        The manifest, as it was written to the output folder.

    Raises:
        OfaEdgeError: nothing is left in the output folder that was not there before.
    """
    runner = StageRunner(cache, on_stage)
    check_devices(plan)
    given, test = plan.given, plan.data.test
    shapes = [each.given_shape for each in given.inputs]
    inputs = {"model": given.digest, "shapes": shapes, "outputs": given.outputs}
    preprocessing = plan.interface.inputs[0].preprocessing
    answers = answers_of(
        runner,
        "run-given",
        {**inputs, "test": test.digest, "preprocessing": preprocessing and preprocessing.to_json()},
        ("onnxruntime",),
        lambda: given.answers(plan.interface.apply(test)),
    )
    answers = in_pieces(answers, plan.pieces)
    require_finite(answers, f"{given.path.name}, on {len(test)} inputs")

    def produce(folder: Path) -> None:
        from ofa_edge.export.onnx.described import describe
        from ofa_edge.export.onnx.prepare import prepare

        write_json(folder / CHANGES, prepare(given, folder / MODEL, plan.pieces))
        describe(folder / MODEL, said)

    said = plan.interface.record(MODEL)
    made = {
        **inputs,
        "pieces": [each.to_json() for each in plan.pieces],
        "interface": said.model_dump(mode="json"),
    }
    entry = runner.run("prepare", made, ("onnx", "onnxsim"), produce)
    changes = tuple(json.loads(entry.path(CHANGES).read_bytes()))
    macs, params = _counted(entry.path(MODEL))
    origin = Origin("file", given.path.name, trained=True, licences=said_licences(given.metadata))
    network = Network(entry.path(MODEL), entry.files[MODEL], plan.interface, origin, macs, params, given.quantised)
    inside = None
    if plan.suppresses_inside:
        inside = with_suppression(runner, network)
        changes += ("boxes are decoded and suppressed inside the graph",)
    start = Start(
        network,
        Answers("given file", answers),
        exported=EXACT if given.exact else HALF,
        changes=changes,
        assumed=plan.assumed,
        inside=inside,
    )
    return finish(runner, plan, start, command)


def _counted(model: Path) -> tuple[int, int]:
    """MACs of one inference, 0 where they cannot be counted, and numbers in the weights."""
    import onnx

    params = count_weights(onnx.load(model))
    try:
        return sum(item.operator.macs for item in read_operators(model).operators), params
    except ConfigError:
        return 0, params
