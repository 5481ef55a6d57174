"""The files of a refined latency model: the model, and a copy of the target that names it."""

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ofa_edge.errors import ConfigError
from ofa_edge.files import sha256_bytes, write_bytes
from ofa_edge.latency.fitted import FittedModel
from ofa_edge.latency.load import FittedFacts, FittedFile
from ofa_edge.pipeline.plan import Plan

SUFFIX = "-refined"  # of a target's name: two targets of one name would shadow each other


@dataclass(frozen=True)
class RefinedFiles:
    """A refined model and what it is written as. `ofa-edge build --target OUT/TARGET.toml` takes it."""

    model: FittedModel
    latency_name: str
    latency: bytes
    target_name: str
    target: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the latency file."""
        return sha256_bytes(self.latency)

    def write(self, folder: Path) -> tuple[tuple[str, str], ...]:
        """Write both; their names, each with its role."""
        write_bytes(folder / self.latency_name, self.latency)
        write_bytes(folder / self.target_name, self.target)
        return (self.latency_name, "latency model"), (self.target_name, "target")


def refined_files(plan: Plan, model: FittedModel) -> RefinedFiles:
    """The files of a model that was refined for a plan.

    Raises:
        ConfigError: the target's file spells its latency model in a way that cannot be changed.
    """
    name = plan.target.name.removesuffix(SUFFIX) + SUFFIX
    latency_name, target_name = f"{name}.latency.json", f"{name}.toml"
    content = FittedFile(schema=2, kind="fitted", space=plan.package.space.hash, models=(FittedFacts.of(model),))
    return RefinedFiles(
        model,
        latency_name,
        content.model_dump_json(by_alias=True, indent=1).encode() + b"\n",
        target_name,
        _renamed(plan.target.path, latency_name).encode(),
    )


def _renamed(target: Path, latency_name: str) -> str:
    """A target's text with another latency file; all other lines, comments too, stay as they are."""
    text = target.read_text(encoding="utf-8")
    head, table, rest = text.partition("[latency_model]")
    rest = re.sub(r"(?m)^(\s*file\s*=\s*).*$", lambda found: f"{found[1]}{json.dumps(latency_name)}", rest, count=1)
    changed = head + table + rest
    expected = tomllib.loads(text)
    expected["latency_model"]["file"] = latency_name
    if tomllib.loads(changed) != expected:
        raise ConfigError(
            f"cannot name another latency file in {target.name}",
            f"{target}: no line 'file = ...' under [latency_model]",
            "write it so",
        )
    return changed
