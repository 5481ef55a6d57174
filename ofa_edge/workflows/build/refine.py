"""`--refine`: measure the best candidates, correct the latency model by them, search again.

A search within a budget favours subnets that the latency model takes for faster than they are, so the model is put to
the test where it will be used. Candidates are measured whole, as the artifacts that a build would ship. Artifacts and
measurements are stages of the cache: an interrupted build goes on with what it has, until the device restarts.
"""

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ofa_edge.device.access import connected, device_key, held, is_target
from ofa_edge.device.conditions import DeviceConditions
from ofa_edge.device.protocol import Connection, Fingerprint
from ofa_edge.errors import DeviceBusyError, DeviceError, DeviceLostError, UnsupportedError
from ofa_edge.files import write_json
from ofa_edge.latency.fitted import FittedModel, NetworkSample, UnitSample, fit_fitted, prior_of
from ofa_edge.latency.protocol import Interval, LatencyModel, OutsideKey, Provenance
from ofa_edge.records.manifest import DeviceMeasurement, StageRecord
from ofa_edge.records.refinement import GapRecord, IntervalRecord, RefinedCandidate, RefinementRecord
from ofa_edge.records.search import SearchRecord
from ofa_edge.shown import pasteable
from ofa_edge.space import Subnet
from ofa_edge.vocabulary import numbers
from ofa_edge.workflows.build import stages
from ofa_edge.workflows.build.on_device import Trial, time_artifact
from ofa_edge.workflows.build.plan import SupernetPlan, with_latency_model
from ofa_edge.workflows.build.refined_files import RefinedFiles, refined_files
from ofa_edge.workflows.build.search import best_candidates, run_search, search_inputs, search_packages
from ofa_edge.workflows.build.stages import StageRunner

ROUNDS = 2
_LEAST_ERROR = 0.005  # of a median, as a fraction: sessions of one boot agree better than boots do
_Z95 = 1.959964


@dataclass(frozen=True)
class Refined:
    """What a build goes on with: the plan under the refined model, the choice under it, and the account of it."""

    plan: SupernetPlan
    subnet: Subnet
    search: SearchRecord
    record: RefinementRecord
    files: RefinedFiles


@dataclass(frozen=True)
class _Sample:
    subnet: Subnet
    round: int
    seen: DeviceMeasurement

    @property
    def network(self) -> NetworkSample:
        latency = self.seen.latency_ms
        assert latency is not None  # `_measure` keeps no other
        error = (latency.high95 - latency.low95) / (2 * _Z95)
        return NetworkSample(self.subnet, latency.p50, max(error, _LEAST_ERROR * latency.p50))


def check_refinable(plan: SupernetPlan) -> None:
    """Raise, before any work, where the device cannot be reached, gives no times, or is not the target's hardware."""
    prior_of(plan.search.latency)
    with connected(plan.device.name, plan.target, "measure candidates") as connection:
        _require_target(plan, connection)


def refine(runner: StageRunner, plan: SupernetPlan, subnet: Subnet) -> Refined:
    """Measure, refit and search again; once more where the choice moved by more than the refined model's error.

    Args:
        runner: of the build; the loop adds one record, whatever stages it ran.
        plan: of the build, under the target's own model.
        subnet: what was chosen under it.

    Raises:
        DeviceError: the device was lost, or not one candidate could be measured.
        BudgetError: measured, no subnet is fast enough.
        UnsupportedError: see `check_refinable`.
    """
    start = time.perf_counter()
    loop = _Loop(StageRunner(runner.cache, runner.on_stage), plan)
    now, chosen, number, again = plan, subnet, 0, True
    while again:
        number += 1
        loop.measure(now, chosen, number)
        expected = now.search.latency.predict(chosen)
        files = loop.refit()
        now = with_latency_model(plan, files.model, files.digest)
        chosen, search = run_search(loop.runner, now.search)
        again = number < ROUNDS and _moved(expected, now.search.latency.predict(chosen))
    assert search is not None  # a plan that refines has a supernet
    seconds = time.perf_counter() - start
    cached = all(record.cached for record in loop.runner.records)
    runner.records.append(StageRecord(name="refine", seconds=seconds, cached=cached, produced_seconds=seconds))
    return Refined(now, chosen, search, loop.record(subnet, number, files, seconds), files)


def _moved(before: Interval, after: Interval) -> bool:
    """Whether the choice's predicted latency changed by more than the new prediction's own 90 % error."""
    return bool(abs(np.log(after.ms / before.ms)) > np.log(after.high90 / after.ms))


def _require_target(plan: SupernetPlan, connection: Connection) -> Fingerprint:
    """The device's fingerprint. Raises UnsupportedError unless it is the target's own hardware."""
    seen, name = connection.fingerprint(), plan.target.name
    hint = "--device NAME of the real board (ofa-edge devices list), or leave out --refine"
    if seen.device_kind == "emulated":
        what = f"cannot refine the latency model of {name} on an emulated device"
        raise UnsupportedError(what, f"{connection.name}: {seen.kind_evidence}: an emulator gives no times", hint)
    if not is_target(plan.target, seen, connection):
        raise UnsupportedError(
            f"'{connection.name}' is no {name}",
            f"it says it is {seen.model or 'an unknown model'} with {seen.cpu or 'an unknown CPU'}: "
            f"its times say nothing of {plan.target.path.name}",
            hint,
        )
    return seen


@dataclass
class _Loop:
    """What was measured so far."""

    runner: StageRunner
    plan: SupernetPlan
    samples: list[_Sample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    resumed: int = 0
    device: Fingerprint | None = None

    def measure(self, now: SupernetPlan, chosen: Subnet, number: int) -> None:
        """Measure the choice and the best others under `now` that were not measured yet, K in all."""
        done = {sample.subnet.id for sample in self.samples}
        wanted = [each for each in (chosen, *self._candidates(now, len(done))) if each.id not in done]
        wanted = list({each.id: each for each in wanted}.values())[: self.plan.options.refine]
        built = [self._trial(each) for each in wanted]
        with connected(self.plan.device.name, self.plan.target, "measure candidates") as connection:
            self.device = _require_target(self.plan, connection)
            with held(connection, self.plan.target) as conditions:
                for trial in built:
                    self._one(trial, connection, conditions, number)
        if not self.samples:
            raise DeviceError(
                "not one candidate could be measured", "; ".join(self.notes), "ofa-edge devices probe, then again"
            )

    def _candidates(self, now: SupernetPlan, done: int) -> tuple[Subnet, ...]:
        """The best under a plan, so many more than are wanted as may be known already."""
        count = self.plan.options.refine + done

        def produce(folder: Path) -> None:
            found = best_candidates(now.search, count)
            write_json(folder / "candidates.json", {"candidates": [each.config() for each in found]})

        inputs = {**search_inputs((now.search,)), "candidates": count}
        entry = self.runner.run("candidates", inputs, search_packages(now.search), produce)
        found = json.loads(entry.path("candidates.json").read_bytes())["candidates"]
        return tuple(self.plan.package.space.from_config(each) for each in found)

    def _trial(self, subnet: Subnet) -> Trial:
        """What a build would ship of a subnet, untuned."""
        plan = self.plan
        static = stages.extract(self.runner, plan.package, subnet, plan.data.calibration)
        network = stages.to_network(self.runner, plan.package, static, subnet)
        export = stages.export_of(plan, network)
        untuned = dataclasses.replace(export, tuning=dataclasses.replace(export.tuning, seconds=0.0))
        _, artifact = stages.to_artifact(self.runner, plan, untuned)
        return Trial(artifact, network, plan.target, plan.data.test)

    def _one(
        self,
        trial: Trial,
        connection: Connection,
        conditions: DeviceConditions | None,
        number: int,
    ) -> None:
        """Measure one candidate. Heat and the like cost it its place; a device that is gone ends the build."""

        def produce(folder: Path) -> None:
            seen = time_artifact(trial, connection, conditions)
            write_json(folder / "device.json", seen.model_dump(mode="json"))

        assert self.device is not None
        subnet = trial.network.origin.subnet
        assert subnet is not None  # it was cut from a supernet
        inputs = {
            "artifact": trial.artifact.sha256,
            "runtime": trial.artifact.runtime.name,
            "threads": self.plan.target.runtime.threads,
            "cores": self.plan.target.runtime.cores,
            "device": self.device.to_json(),  # the boot with it
        }
        try:
            entry = self.runner.run("time", inputs, (), produce)
        except (DeviceLostError, DeviceBusyError):
            raise
        except DeviceError as error:
            self.notes.append(f"{subnet.id} was left out: {error.what}: {error.why}")
            return
        seen = DeviceMeasurement.model_validate_json(entry.path("device.json").read_bytes())
        if seen.latency_ms is None:
            self.notes.append(f"{subnet.id} was left out: the device gave no latency")
            return
        self.resumed += entry.hit
        self.samples.append(_Sample(subnet, number, seen))

    def refit(self) -> RefinedFiles:
        """The model that all samples give, as the file that another build can use."""
        return refined_files(self.plan, self._fit([sample.network for sample in self.samples]))

    def _fit(self, networks: Sequence[NetworkSample], unseen: Subnet | None = None) -> FittedModel:
        """A fit with the target's model as prior; what that was fitted to itself is kept, but for `unseen`."""
        model = self._own_model()
        units: tuple[UnitSample, ...] = ()
        known: tuple[NetworkSample, ...] = ()
        if isinstance(model, FittedModel):
            units, known = model.units, tuple(each for each in model.networks if each.subnet != unseen)
        assert self.device is not None
        key = dataclasses.replace(
            model.key,
            device=self.device.model or self.device.cpu or model.key.device,
            runtime=self.plan.export.runtime.name,
            precision=numbers(self.plan.export.precision).base,
            threads=self.plan.target.runtime.threads,
            os_build=f"{self.device.os}, {self.device.kernel}",
        )
        provenance = Provenance(
            kind="measured",
            fitted_to=f"{len(networks)} candidates of a build, measured whole on {device_key(self.device)}"
            + (f", beside {len(units)} units and {len(known)} networks measured before" if units or known else "")
            + f"; prior: {model.provenance.fitted_to}",
            sources=model.provenance.sources,
            command=pasteable(
                "ofa-edge", "build", "--target", self.plan.target.name, "--refine", self.plan.options.refine
            ),
        )
        return fit_fitted(
            self.plan.package.space, prior_of(self.plan.search.latency), units, [*known, *networks], key, provenance
        )

    def record(self, first: Subnet, rounds: int, files: RefinedFiles, seconds: float) -> RefinementRecord:
        """The account: every candidate as the target's model and as a model without it predict it."""
        networks = [sample.network for sample in self.samples]
        candidates = []
        for index, sample in enumerate(self.samples):
            others = networks[:index] + networks[index + 1 :]
            after = self._fit(others, sample.subnet) if others else None
            latency = sample.seen.latency_ms
            assert latency is not None
            candidates.append(
                RefinedCandidate(
                    subnet=sample.subnet.id,
                    round=sample.round,
                    measured_ms=latency.p50,
                    low95=latency.low95,
                    high95=latency.high95,
                    before=_interval(self.plan.search.latency, sample.subnet),
                    after=None if after is None else _interval(after, sample.subnet),
                )
            )
        assert self.device is not None
        notes = [*self.notes, *self._known()]
        if self.plan.export.tuning.seconds:
            notes.append("candidates were measured before tuning, which makes the chosen one faster")
        return RefinementRecord(
            device=device_key(self.device),
            asked=self.plan.options.refine,
            rounds=rounds,
            first=first.id,
            candidates=tuple(candidates),
            before=_gap([(each.before, each.measured_ms) for each in candidates]),
            after=_gap([(each.after, each.measured_ms) for each in candidates if each.after is not None])
            if len(candidates) > 1
            else None,
            latency_file=files.latency_name,
            target_file=files.target_name,
            seconds=seconds,
            resumed=self.resumed,
            notes=tuple(notes),
        )

    def _own_model(self) -> LatencyModel:
        """The target's own, whether its key holds or not."""
        model = self.plan.search.latency
        return model.model if isinstance(model, OutsideKey) else model

    def _known(self) -> tuple[str, ...]:
        """A note where the target's model had seen candidates: what it says of them is no forecast."""
        model = self._own_model()
        fitted = {each.subnet for each in model.networks} if isinstance(model, FittedModel) else set()
        seen = [each.subnet.id for each in self.samples if each.subnet in fitted]
        return (f"the target's own model was fitted to {', '.join(seen)} too",) if seen else ()


def _interval(model: LatencyModel, subnet: Subnet) -> IntervalRecord:
    return IntervalRecord(**{name: float(value) for name, value in model.predict(subnet).to_json().items()})


def _gap(pairs: Sequence[tuple[IntervalRecord, float]]) -> GapRecord:
    """Predictions against measurements."""
    predicted = np.array([interval.ms for interval, _ in pairs])
    measured = np.array([ms for _, ms in pairs])
    return GapRecord(
        mape=float(np.mean(np.abs(predicted / measured - 1))),
        bias=float(np.median(np.log(measured / predicted))),
        inside50=float(np.mean([interval.low50 <= ms <= interval.high50 for interval, ms in pairs])),
        inside90=float(np.mean([interval.low90 <= ms <= interval.high90 for interval, ms in pairs])),
    )
