"""`ofa-edge calibrate` where the compiler tells cycles: the same plan of blocks and subnets, and no device."""

import time
from collections.abc import Sequence

from ofa_edge.cache import StageCache
from ofa_edge.latency.protocol import Key
from ofa_edge.output import reserved
from ofa_edge.runtimes import CycleAccount
from ofa_edge.workflows.calibrate.journal import Sampled
from ofa_edge.workflows.calibrate.measure import Say, export_items
from ofa_edge.workflows.calibrate.plan import CalibrationPlan
from ofa_edge.workflows.calibrate.result import Evidence, MeasuredModel, concluded

_TELL_EVERY = 25  # models


def calibrate_compiled(plan: CalibrationPlan, cache: StageCache, command: Sequence[str], say: Say) -> MeasuredModel:
    """Have a plan's models compiled, and fit what the compiler says.

    Args:
        plan: one with an `account`.
        cache: keeps models, and cycles by the compiler's version and configuration.
        command: for the provenance.
        say: told what happens.

    Raises:
        ConversionError: a model that the runtime or the compiler does not take.
        OutputError: another calibration writes the same files.
    """
    with reserved(plan.options.out / plan.name):
        return _calibrated(plan, cache, command, say)


def _calibrated(plan: CalibrationPlan, cache: StageCache, command: Sequence[str], say: Say) -> MeasuredModel:
    account = plan.account
    assert account is not None  # else `measure.calibrate`
    start = time.perf_counter()
    models = export_items(plan, cache, say)
    compiling = time.perf_counter()
    found = {}
    names = list(models)
    for done in range(0, len(names), _TELL_EVERY):
        say(f"compile: {done} of {len(names)}")
        batch = names[done : done + _TELL_EVERY]
        told = account.told([models[name] for name in batch], cache)
        for name, each in zip(batch, told, strict=True):
            found[name] = Sampled(1e3 * each.cycles / account.clock_hz, 0.0, 1)
    seconds = time.perf_counter() - compiling
    evidence = Evidence(
        found=found,
        key=_key(plan, account),
        kind=account.kind,
        how=f"compiled by {account.name}: its cycles, put into milliseconds by the accelerator's clock",
        sources=(account.name,),
        where=f"by {account.name}",
        dropped=(),
        seconds=seconds,
        effort="of compiling",
    )
    return concluded(plan, evidence, command, compiling - start)


def _key(plan: CalibrationPlan, account: CycleAccount) -> Key:
    facts = ", ".join(f"{name} {value}" for name, value in account.facts().items())
    target = plan.target
    return Key(
        target.description,
        plan.runtime.name,
        facts,
        plan.precision,
        target.runtime.threads,
        accelerator=target.accelerator_digest,
    )
