"""The files of a refined latency model: the model, and a target that names it."""

from dataclasses import dataclass
from pathlib import Path

from ofa_edge.files import sha256_bytes, write_bytes
from ofa_edge.latency.fitted import FittedModel
from ofa_edge.latency.load import FittedFacts, FittedFile
from ofa_edge.latency.target_file import RunsAs, write_target
from ofa_edge.workflows.build.plan import SupernetPlan

SUFFIX = "-refined"  # of a target's name: two targets of one name would shadow each other


@dataclass(frozen=True)
class RefinedFiles:
    """A refined model and what it is written as. `ofa-edge build --target OUT/TARGET-refined.toml` takes it."""

    plan: SupernetPlan
    model: FittedModel
    latency: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the latency file."""
        return sha256_bytes(self.latency)

    @property
    def latency_name(self) -> str:
        """The latency file's name."""
        return f"{self._name}.latency.json"

    @property
    def target_name(self) -> str:
        """The target file's name."""
        return f"{self._name}.toml"

    @property
    def _name(self) -> str:
        return self.plan.target.name.removesuffix(SUFFIX) + SUFFIX

    def write(self, folder: Path) -> tuple[tuple[str, str], ...]:
        """Write both; their names, each with its role."""
        plan, key = self.plan, self.model.key
        tables = plan.export.runtime.target_tables(plan.target, key.threads)
        runs = RunsAs(key.runtime, key.precision, key.threads, plan.target.runtime.cores, tables)
        description = f"{plan.target.description}; refined for '{plan.package.space.name}' on {key.device}"
        write_bytes(folder / self.latency_name, self.latency)
        write_target(folder / self.target_name, plan.target, description, runs, self.latency_name)
        return (self.latency_name, "latency model"), (self.target_name, "target")


def refined_files(plan: SupernetPlan, model: FittedModel) -> RefinedFiles:
    """The files of a model that was refined for a plan."""
    space = plan.package.space
    models = (FittedFacts.of(model),)
    content = FittedFile(schema=2, kind="fitted", space=space.hash, resolutions=space.resolutions, models=models)
    return RefinedFiles(plan, model, content.model_dump_json(by_alias=True, indent=1).encode() + b"\n")
