"""The house as CONTRIBUTING.md draws it: floors that stand in two places and are the same, tests that keep outside."""

import ast
import fnmatch
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import ROOT

from ofa_edge.runtimes import runtimes

CODE, TESTS = ROOT / "ofa_edge", ROOT / "tests"


def floors() -> list[set[str]]:
    """Rooms by floor from the top, as import-linter is told."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    return [{room.strip().removeprefix("ofa_edge.") for room in layer.split("|")} for layer in contract["layers"]]


def test_contributing_lists_the_floors_that_are_checked():
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## The house")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*`) \|", table, re.MULTILINE)
    named = [re.findall(r"`([^`]+)`", row) for row in rows]
    assert [{room.removesuffix("/").removesuffix(".py") for room in row} for row in named] == floors()
    for room in (room for row in named for room in row):
        assert (CODE / room).is_dir() == room.endswith("/"), room


def test_every_room_is_on_a_floor():
    rooms = {path.stem for path in CODE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert rooms - {"__init__"} == set().union(*floors())


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def defined(source: str) -> set[str]:
    """Private names that a module gives to its own functions, classes, values and attributes."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return {name for name in found if is_private(name)}


def is_own(of: ast.expr) -> bool:
    """`self`, `cls` or `super()`."""
    if isinstance(of, ast.Call):
        of = of.func
    return isinstance(of, ast.Name) and of.id in ("self", "cls", "super")


def asked_for(source: str) -> Iterator[str]:
    """Names that a test imports from the code, asks of something else than itself, or patches."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ofa_edge"):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute) and not is_own(node.value):
            yield node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.endswith("attr"):
            named = (each.value for each in node.args[:2] if isinstance(each, ast.Constant))
            yield from (name.rpartition(".")[2] for name in named if isinstance(name, str))


def is_test_of(test: Path, module: Path) -> bool:
    """In the module's room or above it, and named after it: device/measuring/test_lease*.py is of lease.py there."""
    stem = test.stem.removeprefix("test_")
    named = stem == module.stem or stem.startswith(f"{module.stem}_")
    return named and module.parent.relative_to(CODE).is_relative_to(test.parent.relative_to(TESTS))


def trespasses(test: Path, source: str, private: dict[str, set[Path]]) -> set[str]:
    """Private names of the code that a test asks for though no module that it is the test of has them."""
    asked = {name for name in asked_for(source) if name in private}
    return {name for name in asked if not any(is_test_of(test, module) for module in private[name])}


@pytest.fixture(scope="module")
def private() -> dict[str, set[Path]]:
    """Private names of the code, each with the modules that define it."""
    found: dict[str, set[Path]] = {}
    for path in CODE.rglob("*.py"):
        for name in defined(path.read_text()):
            found.setdefault(name, set()).add(path)
    return found


def test_no_test_reaches_for_a_private_name_of_a_module_that_it_does_not_test(private):
    files = {path: trespasses(path, path.read_text(), private) for path in sorted(TESTS.rglob("*.py"))}
    assert {path.name: names for path, names in files.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    [
        "patch.setattr(leases, '_GUARD_S', 1)",
        "patch.setattr('ofa_edge.device.measuring.lease._GUARD_S', 1)",
        "leases._GUARD_S",
        "from ofa_edge.device.measuring.lease import _GUARD_S",
    ],
)
def test_only_the_modules_own_test_may(private, source):
    for place, names in (
        ("device/measuring/test_lease.py", set()),
        ("device/measuring/test_lease_files.py", set()),
        ("device/measuring/test_leases.py", {"_GUARD_S"}),
        ("device/connections/test_lease.py", {"_GUARD_S"}),
    ):
        assert trespasses(TESTS / place, source, private) == names, place
    assert trespasses(TESTS / "test_other.py", "self._GUARD_S, super()._GUARD_S, os._exit", private) == set()


def test_no_test_imports_another_test():
    for path in TESTS.rglob("*.py"):
        assert not re.search(r"^\s*(?:from|import) test_", path.read_text(), re.MULTILINE), path


def test_no_two_files_of_tests_have_one_name():
    names = [path.name for path in TESTS.rglob("*.py") if path.name != "conftest.py"]
    assert len(names) == len(set(names))


def test_no_folder_of_tests_is_passed_over(pytestconfig):
    """By default pytest does not look into folders named `build`, of which we have one."""
    passed_over = pytestconfig.getini("norecursedirs")
    for folder in {path.parent for path in TESTS.rglob("test_*.py")}:
        for name in folder.relative_to(TESTS).parts:
            assert not any(fnmatch.fnmatch(name, pattern) for pattern in passed_over), folder


def test_no_runtime_is_named_outside_its_room():
    """Whoever asks which runtime one is does by a case what the runtime should do itself.

    `export/` has a room for each format, whose name it may say; it may not ask for one either. Nor may anybody ask for
    a runtime that has the name of a package, which may be said. `extras.py` names the package's extras, two of which
    are called as the runtimes that they make things for.
    """
    packages = {re.split("[^a-z0-9-]", each)[0] for each in project()["dependencies"]}
    said = set(runtimes()) - packages
    assert said < set(runtimes())
    named = set()
    for path in CODE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        asking = [
            node for node in ast.walk(tree) if isinstance(node, ast.Compare | ast.Match | ast.Dict | ast.Subscript)
        ]
        if path.is_relative_to(CODE / "runtimes") or path == CODE / "extras.py":
            continue
        lines = {line for part in asking for line in lines_naming(part, set(runtimes()))}
        if not path.is_relative_to(CODE / "export"):
            lines |= set(lines_naming(tree, said))
        named |= {f"{path.relative_to(CODE)}:{line}" for line in lines}
    assert named == set()


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def lines_naming(tree: ast.AST, names: set[str]) -> Iterator[int]:
    """Lines with a string that is one of these names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in names:
            yield node.lineno


def test_what_asks_for_a_runtime_is_found():
    for source in ('if runtime == "tflite": pass', 'x = {"tvm": 1}', 'f("tvm-cuda")'):
        assert list(lines_naming(ast.parse(source), set(runtimes()))) == [1]


def comments(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        yield from (token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT)


SILENT = re.compile(r"(noqa|type: ignore)(?!: [A-Z0-9, ]+[-(]|\[[a-z, -]+\]  # )")


def test_what_a_checker_is_told_to_pass_over_has_its_reason():
    folders = [ROOT / name for name in ("ofa_edge", "tests", "benchmarks", "scripts", "examples")]
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    assert len(paths) > 800
    assert [(path, each) for path in paths for each in comments(path) if SILENT.search(each)] == []


@pytest.mark.parametrize("comment", ["# noqa", "# noqa: S310", "# type: ignore", "# type: ignore[misc]"])
def test_one_without_a_reason_is_found(comment):
    assert SILENT.search(comment)


@pytest.mark.parametrize("comment", ["# noqa: S310 - https", "# noqa: E402  (paths)", "# type: ignore[misc]  # so"])
def test_a_reason_is_taken(comment):
    assert not SILENT.search(comment)
