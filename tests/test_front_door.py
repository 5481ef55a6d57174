"""`import ofa_edge as oe`: what it offers, what it costs, and that its three lists of names are one."""

import ast
import inspect
import re
import subprocess
import sys

import pytest
from places import ROOT

import ofa_edge as oe
from ofa_edge import errors

SIGNATURES = """
build(target: str | Path | Target, *, supernet: str | Path | SupernetPackage = fashion-mnist, model: Union[str, Path,
    ForwardRef(Module), ForwardRef(ExportedProgram), NoneType] = None, example: Union[ForwardRef(Tensor), Sequence[int],
    Sequence[Tensor], NoneType] = None, labels: Sequence[str] | str | Path | None = None, task:
    Optional[Literal[classify, features, detect, segment]] = None, shape: Sequence[int] | Mapping[str, Sequence[int]] |
    None = None, output: str | None = None, mean: Sequence[float] | None = None, std: Sequence[float] | None = None,
    fit: Optional[Literal[crop, squeeze, letterbox]] = None, decode: Optional[Literal[yolov5, yolov8, end-to-end, detr,
    rt-detr, boxes-scores, boxes-scores-01, yolov5-raw, yolov8-raw, ssd, ssd-sigmoid, suppressed]] = None,
    anchors: Sequence[float] | None = None, priors: str | Path | None = None, suppress:
    Optional[Literal[outside, inside]] = None, untrained: bool = False, latency_ms: float | None =
    None, precision: Optional[Literal[fp32, fp16, fp16-acc16, dynamic, int8]] = None, runtime: str | None = None, data:
    str | Path | None = None, device: str = auto, out: str | Path | None = None, constraints: Constraints | None = None,
    predictor: Literal[auto, use, macs] = auto, measure: int | None = None, refine: int = 0, tune: str = 0, tune_db:
    bool = True, sustained: bool = False, outside_key: bool = False, max_drop: str | None = None, photos:
    bool = True, seed: int = 0, on_stage: Callable[[str, bool, float | None], None] = <lambda>) -> Build
calibrate(net: StaticNet, package: SupernetPackage, images: Images | None = None) -> StaticNet
evaluate(net: StaticNet, package: SupernetPackage, images: Images | None = None, *, metric: Literal[top1, balanced]
    = top1) -> float
extract(supernet: SupernetPackage | Supernet, subnet: Subnet) -> StaticNet
finetune(subnet: Subnet | str | Path, *, supernet: str | Path | SupernetPackage = fashion-mnist, resolution: int |
    None = None, dataset: str | None = None, data: str | Path | None = None, new_head: bool = False, keep_classes: bool
    = False, teacher: str | Path | None = None, teacher_labels: str | Path | None = None, teacher_shape: str | None =
    None, teacher_mean: tuple[float, ...] | None = None, teacher_std: tuple[float, ...] | None = None, out: str | Path |
    None = None, qat: str | None = None, epochs: float | None = None, lr: float | None = None, batch: int | None = None,
    distill: float | None = None, folds: int | None = None, patience: float | None = None, seed: int = 0, on: str =
    cpu, allow_drop: bool = False, accept_code: bool = False, on_epoch: Callable[[Progress], None] = _silent, on_step:
    Callable[[Progress], None] = _silent) -> Trained
fit_predictor(space: Space, accuracies: Mapping[Subnet, float], *, metric: Literal[top1, balanced] = top1) ->
    AccuracyPredictor
from_net_config(config: Mapping[str, Any] | str | Path, space: Space, resolution: int | None = None) -> Subnet
inspect(model: str | Path, *, profile: bool = False, shape: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
    against: str | Path | None = None, data: str | Path | None = None, images: int = 200) -> Inspection
load_recipe(name_or_path: str | Path, preset: str | Path | None = None, overrides: Mapping[str, Any] | None = None)
    -> Recipe
load_target(name_or_path: str | Path) -> Target
open_supernet(name_or_path: str | Path, *, untrained: bool = False) -> SupernetPackage
predict(network: Subnet | str | Path, target: str | Path | Target, *, supernet: str | Path | SupernetPackage | Space
    = fashion-mnist, runtime: str | None = None, precision: Optional[Literal[fp32, fp16, fp16-acc16, dynamic, int8]]
    = None, shape: str | None = None, runtime_version: str | None = None, outside_key: bool = False) -> Prediction
run(build: Build | str | Path, photos: str | Path | Sequence[str | Path], *, device: str = local, top: int = 5) ->
    Answers
sample(space: Space, count: int, *, seed: int = 0, resolution: int | None = None) -> list[Subnet]
search_fleet(budgets: Mapping[str, float], *, supernet: str | Path | SupernetPackage = fashion-mnist, untrained:
    bool = False, max_models: int | None = None, precision: Optional[Literal[fp32, fp16, fp16-acc16, dynamic, int8]]
    = None, runtime: str | None = None, constraints: Constraints | None = None, predictor: Literal[auto, use, macs]
    = auto, outside_key: bool = False, seed: int = 0, evaluations: int = 20000) -> Fleet
search_front(target: str | Path | Target, *, supernet: str | Path | SupernetPackage = fashion-mnist, untrained: bool
    = False, latency_ms: float | None = None, precision: Optional[Literal[fp32, fp16, fp16-acc16, dynamic, int8]] =
    None, runtime: str | None = None, constraints: Constraints | None = None, predictor: Union[Literal[auto, use,
    macs], AccuracyPredictor] = auto, sustained: bool = False, outside_key: bool = False, seed: int = 0,
    evaluations: int = 20000, seconds: float | None = None) -> SearchResult
to_net_config(space: Space, subnet: Subnet) -> dict[str, Any]
train(recipe: str | Path | Recipe | None = None, *, preset: str | Path | None = None, start: str | Path |
    SupernetPackage | None = None, keep_classes: bool = False, resolutions: Sequence[int] | None = None, folds: int |
    None = None, teacher: str | Path | None = None, teacher_labels: str | Path | None = None, teacher_shape: str | None
    = None, teacher_mean: tuple[float, ...] | None = None, teacher_std: tuple[float, ...] | None = None, data: str |
    Path | None = None, out: str | Path | None = None, scale: float | None = None, seed: int | None = None, pairs: int |
    None = None, changes: Mapping[str, Any] | None = None, step: Callable[[TrainingStep], Sequence[Tensor]] =
    recipe_step, on: str = cpu, accept_code: bool = False, on_epoch: Callable[[Progress], None] = _silent, on_step:
    Callable[[Progress], None] = _silent, on_stage: Callable[[str, int, int], None] = _silent) -> Trained
verify_build(build: Build | str | Path, device: str, *, data: str | Path | None = None, max_size: int | None = None,
    max_memory: int | None = None, release: bool = False) -> Verification
"""
VALUES = """
Build Constraints Images Prediction Recipe SearchResult Space Subnet SupernetPackage Target Trained TrainingStep
__version__ cost
"""


def signature(name: str) -> str:
    """As text, without the modules of types and the places of functions in memory."""
    text = re.sub(r"<function (\S+) at \w+>", r"\1", str(inspect.signature(getattr(oe, name))))
    return name + re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", text.replace("'", "").replace('"', ""))


def test_the_functions_are_those_recorded() -> None:
    functions = [name for name in sorted(oe.__all__) if inspect.isfunction(getattr(oe, name))]
    assert [signature(name) for name in functions] == [
        " ".join(each.split()) for each in re.split(r"\n(?=\w)", SIGNATURES.strip())
    ]


def test_the_values_are_those_recorded_and_every_error() -> None:
    others = {name for name in oe.__all__ if not inspect.isfunction(getattr(oe, name))}
    tree = {
        name for name, value in vars(errors).items() if name.endswith("Error") and value.__module__ == errors.__name__
    }
    assert others == {*VALUES.split(), *tree}


def test_type_checkers_see_the_names_that_there_are() -> None:
    tree = ast.parse((ROOT / "ofa_edge/__init__.py").read_text())
    branch = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {}
    for node in branch.body:
        assert isinstance(node, ast.ImportFrom)
        (alias,) = node.names
        assert alias.name == alias.asname
        seen[alias.name] = node.module
    assert sorted([*seen, "__version__"]) == sorted(oe.__all__)
    for name, module in seen.items():
        assert getattr(oe, name) is getattr(sys.modules[module], name), name


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        _ = oe.serach
    assert set(oe.__all__) <= set(dir(oe))


@pytest.mark.parametrize(
    ("work", "left_out"),
    [
        ("pass", ("torch", "numpy", "pydantic", "click", "typing", "ofa_edge.api")),
        ("oe.predict(oe.open_supernet('fashion-mnist').space.largest(), oe.load_target('pixel-4'))", ("torch",)),
    ],
)
def test_importing_is_cheap_and_what_it_names_is_imported_when_asked_for(work: str, left_out: tuple[str, ...]) -> None:
    program = f"import sys, ofa_edge as oe\n{work}\nprint([name for name in {left_out} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], capture_output=True, text=True, env=paths(), check=True
    )
    assert done.stdout == "[]\n"


def paths() -> dict[str, str]:
    """The environment of a program that runs without `site`, which imports things of its own."""
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
