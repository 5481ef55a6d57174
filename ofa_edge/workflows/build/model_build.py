"""A build of a given network: the file as it is, prepared as our own exports are; then `finish`."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.builds import MODEL
from ofa_edge.cache import StageCache
from ofa_edge.errors import ConfigError
from ofa_edge.export.onnx.part import exact_answer
from ofa_edge.export.onnx.pieces import in_pieces
from ofa_edge.files import write_json
from ofa_edge.latency.onnx_operators import read_operators
from ofa_edge.network import Network, Origin
from ofa_edge.onnx_weights import count_weights
from ofa_edge.records.licences import said_licences
from ofa_edge.records.manifest import Manifest
from ofa_edge.runtimes.answers import answers_of
from ofa_edge.verify.ladder import EXACT, HALF, Answers
from ofa_edge.verify.parity import compare
from ofa_edge.workflows.build.account import Start
from ofa_edge.workflows.build.finish import check_devices, finish
from ofa_edge.workflows.build.model_plan import ModelPlan
from ofa_edge.workflows.build.stages import OnStage, StageRunner, require_finite
from ofa_edge.workflows.build.suppression import with_suppression

CHANGES = "changes.json"
_OWN_INPUTS, _EXACT_INPUTS = 16, 4  # of the test inputs


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
    asked = {**inputs, "preprocessing": preprocessing and preprocessing.to_json()}
    answers = answers_of(
        runner,
        "run-given",
        {**asked, "test": test.digest},
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
        Answers("given file", answers, own=_own(runner, plan, asked, network, answers)),
        exported=EXACT if given.exact else HALF,
        changes=changes,
        assumed=plan.assumed,
        inside=inside,
    )
    return finish(runner, plan, start, command)


def _own(
    runner: StageRunner,
    plan: ModelPlan,
    asked: Mapping[str, Any],
    network: Network,
    answers: NDArray[np.float32],
) -> dict[str, float]:
    """How near the file's answers are to the same ones computed otherwise: see `Answers.own`. Empty: not to be had.

    In another order of sums; and of one output, where that is less, with its last node in float64.
    """
    few = plan.data.test.take(np.arange(min(_OWN_INPUTS, len(answers))))
    fewer = few.take(np.arange(min(_EXACT_INPUTS, len(few))))

    def otherwise() -> NDArray[np.float32]:
        found = plan.given.in_another_order(plan.interface.apply(few))
        return np.zeros((0, 0), np.float32) if found is None else found

    def exactly() -> NDArray[np.float32]:
        rows = [exact_answer(network.onnx, row[np.newaxis], quick=True) for row in plan.interface.apply(fewer)]
        given = [row for row in rows if row is not None]
        return np.concatenate(given) if len(given) == len(rows) else np.zeros((0, 0), np.float32)

    parts = network.parts if network.parts is not None and len(network.parts) > 1 else {"": slice(None)}
    again = answers_of(runner, "run-given-again", {**asked, "test": few.digest}, ("onnxruntime",), otherwise)
    found = {
        name: _nearness(answers, in_pieces(again, plan.pieces) if again.size else again, part)
        for name, part in parts.items()
    }
    if len(parts) == 1 and not plan.pieces:
        inputs = {"model": network.digest, "test": fewer.digest}
        exact = answers_of(runner, "run-exactly", inputs, ("onnxruntime", "onnx"), exactly)
        found[""] = min(found[""], _nearness(answers, exact, slice(None)))
    return {name: db for name, db in found.items() if db < math.inf}


def _nearness(answers: NDArray[np.float32], others: NDArray[np.float32], part: slice) -> float:
    """SNR in dB of one output of those answers that there are others for; infinite where there are none."""
    if not others.size or others.shape[1:] != answers.shape[1:] or not np.isfinite(others).all():
        return math.inf
    return compare(answers[: len(others), part], others[:, part]).snr_db


def _counted(model: Path) -> tuple[int, int]:
    """MACs of one inference, 0 where they cannot be counted, and numbers in the weights."""
    import onnx

    params = count_weights(onnx.load(model))
    try:
        return sum(item.operator.macs for item in read_operators(model).operators), params
    except ConfigError:
        return 0, params
