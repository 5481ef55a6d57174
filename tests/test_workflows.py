"""The workflows on GitHub, as far as a file shows it: who may write what, and which versions make a release."""

import re
from typing import Any

import pytest
import yaml
from places import ROOT

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))


def read(name: str) -> dict[str, Any]:
    found = yaml.safe_load((ROOT / ".github/workflows" / name).read_text())
    assert isinstance(found, dict)
    return found


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("name", [path.name for path in FILES])
def test_a_workflow_may_read_and_keeps_no_token(name: str) -> None:
    workflow = read(name)
    assert workflow["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in workflow[True]  # YAML 1.1 reads `on` so
    checkouts = [step for step in steps(workflow) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_only_the_job_that_publishes_gets_more_and_it_runs_no_command() -> None:
    given = {
        (path.name, job): each.get("permissions") for path in FILES for job, each in read(path.name)["jobs"].items()
    }
    assert {key: value for key, value in given.items() if value} == {
        ("release.yml", "publish"): {"id-token": "write", "attestations": "write", "contents": "read"}
    }
    publish = read("release.yml")["jobs"]["publish"]
    assert publish["environment"]
    assert not [step for step in publish["steps"] if "run" in step]
    assert "secrets." not in (ROOT / ".github/workflows/release.yml").read_text()


def test_what_makes_a_release_has_a_version() -> None:
    commands = "\n".join(step.get("run", "") for step in steps(read("release.yml")))
    tools = re.findall(r"^pip install (\S+)", commands, re.M)
    assert [tool.partition("==")[0] for tool in tools] == ["build", "cyclonedx-bom"]
    assert all("==" in tool for tool in tools)
    assert "-c constraints.txt dist/*.whl" in commands


def test_the_tag_is_held_against_the_version() -> None:
    import subprocess

    import ofa_edge

    (command,) = [step["run"] for step in steps(read("release.yml")) if "__version__" in step.get("run", "")]
    for tag, code in ((f"v{ofa_edge.__version__}", 0), ("v9.9.9", 1)):
        done = subprocess.run(
            ["bash", "-ec", command], cwd=ROOT, env={"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"}, check=False
        )
        assert done.returncode == code
