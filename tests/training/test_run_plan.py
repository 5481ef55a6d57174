"""Plans: the paper's table, the shape of the schedules, and costs that come out as foretold."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_package import images
from tiny_runs import sandwich, shrinking, trainer

from ofa_edge.errors import ConfigError
from ofa_edge.training.plan import describe, plan_run, scale_for
from ofa_edge.training.recipe import Phase
from ofa_edge.training.recipe_files import list_presets, list_recipes, load_recipe

IMAGENET = 1_281_167 - 10_000  # what the paper trains on
# Once-For-All, appendix B: epochs with warm-up, and the rate of 32 GPUs with 64 images each.
TABLE = {
    "full": (180, 0, 2.6),
    "kernel": (125, 5, 0.96),
    "depth 1": (25, 0, 0.08),
    "depth 2": (125, 5, 0.24),
    "expand 1": (25, 0, 0.08),
    "expand 2": (125, 5, 0.24),
}


def colour(recipe):
    """The recipe with what its data would give it: statistics of three channels, and a count held out."""
    if recipe.data.mean is not None:
        return recipe
    known = {"mean": (1.0, 2.0, 3.0), "std": (1.0, 2.0, 3.0), "held_out": 100}
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=known)})


def ofa(**changes):
    recipe = load_recipe("ofa", "fashion-mnist", {"scale": 1.0, **changes})
    return recipe, recipe.make_space(10)


@pytest.mark.parametrize(("batch", "share"), [(2048, 1.0), (128, 1 / 16)])
def test_the_papers_table(batch, share):
    recipe, space = ofa(batch=batch)
    run = plan_run(recipe, space, IMAGENET)
    assert run.steps_per_epoch == IMAGENET // batch
    assert [part.phase.name for part in run.phases] == list(TABLE)
    for part in run.phases:
        epochs, warmup, lr = TABLE[part.phase.name]
        assert part.steps == epochs * run.steps_per_epoch
        assert part.warmup_steps == warmup * run.steps_per_epoch
        assert part.lr == pytest.approx(lr * share)
    shrinking_steps = run.steps - run.phases[0].steps
    assert run.phases[0].steps == 180 * run.steps_per_epoch
    assert shrinking_steps == 425 * run.steps_per_epoch
    assert run.steps == 605 * run.steps_per_epoch
    subnet_epochs = sum(part.steps * len(part.phase.subnets) for part in run.phases) / run.steps_per_epoch
    assert subnet_epochs == 1205


def test_what_is_elastic_in_each_phase():
    recipe, space = ofa()
    elastic = [
        (part.space.kernels, part.space.expands, part.space.depths) for part in plan_run(recipe, space, 1000).phases
    ]
    assert elastic[1:] == [
        ((3, 5, 7), (6,), (4,)),
        ((3, 5, 7), (6,), (3, 4)),
        ((3, 5, 7), (6,), (2, 3, 4)),
        ((3, 5, 7), (4, 6), (2, 3, 4)),
        ((3, 5, 7), (3, 4, 6), (2, 3, 4)),
    ]
    assert [len(phase.subnets) for phase in recipe.phases] == [1, 1, 2, 2, 4, 4]
    assert [phase.distill for phase in recipe.phases] == ["none"] + ["teacher"] * 5


def test_sorting_keeps_apart_what_was_trained():
    recipe, space = ofa()
    run = plan_run(recipe, space, 1000)
    assert [(part.phase.name, part.finished) for part in run.phases if part.phase.sort_channels] == [
        ("expand 1", ()),
        ("expand 2", (4, 6)),
    ]
    ours = load_recipe("ofa-edge", "fashion-mnist")
    (sandwiched,) = (part for part in plan_run(ours, space, 1000).phases if part.phase.sort_channels)
    assert sandwiched.finished == ()  # only the largest was trained before: one sort over all channels


def test_processes_share_the_work():
    recipe, space = ofa()
    one, two = plan_run(recipe, space, 10_000), plan_run(recipe, space, 10_000, processes=2)
    assert two.batch == 2 * one.batch
    assert two.steps == pytest.approx(one.steps / 2, rel=0.01)
    assert two.phases[0].lr == pytest.approx(2 * one.phases[0].lr)


def test_steps_belong_to_phases():
    recipe, space = ofa(scale=0.01)
    run = plan_run(recipe, space, 5000)
    seen = [run.at(step) for step in range(run.steps)]
    assert list(dict.fromkeys(part.phase.name for part in seen)) == list(TABLE)
    assert all(part.start <= step < part.end for step, part in enumerate(seen))
    assert run.macs_until(0) == 0
    assert run.macs_until(run.steps) == pytest.approx(run.macs)
    growth = [run.macs_until(step + 1) - run.macs_until(step) for step in range(run.steps)]
    assert growth == pytest.approx([part.macs_per_image * run.batch for part in seen])


schedules = st.builds(
    lambda epochs, warmup, warmup_from, final: Phase(
        name="p", epochs=epochs, lr=0.5, warmup_epochs=warmup * epochs, warmup_from=warmup_from, final_lr=final
    ),
    st.floats(0.5, 20),
    st.floats(0, 0.9),
    st.floats(0, 1),
    st.floats(0, 0.5),
)


@settings(max_examples=60, deadline=None)
@given(phase=schedules)
def test_rates_rise_then_fall(phase):
    recipe = shrinking(phases=(phase,), lr_batch=None)
    part = plan_run(recipe, recipe.make_space(3), 80).phases[0]
    rates = [part.learning_rate(step) for step in range(part.steps)]
    warm = part.warmup_steps
    assert all(0 <= rate <= 0.5 + 1e-12 for rate in rates)
    assert rates[:warm] == sorted(rates[:warm])
    assert rates[warm:] == sorted(rates[warm:], reverse=True)
    if warm:
        assert rates[0] == pytest.approx(0.5 * (phase.warmup_from + (1 - phase.warmup_from) / warm))
        assert rates[warm - 1] == pytest.approx(0.5)
    if warm < part.steps:
        assert rates[warm] == pytest.approx(0.5)
    assert min(rates[warm:], default=1) >= 0.5 * phase.final_lr - 1e-12


@pytest.mark.parametrize(("images", "steps"), [(16, 500), (64, 500), (2000, 1200)])
def test_a_small_set_is_trained_for_so_many_steps_all_the_same(images, steps):
    """Phases keep their shares of the run, and warm-ups theirs of their phase."""
    epochs = tuple(
        Phase(name=name, epochs=length, lr=1.0, warmup_epochs=length / 10) for name, length in (("a", 3), ("b", 1))
    )
    recipe = shrinking(phases=epochs, batch=8, scale=1.2, min_steps=500)
    run = plan_run(recipe, recipe.make_space(3), images)
    assert run.steps == steps
    assert [part.steps / run.steps for part in run.phases] == [0.75, 0.25]
    assert [part.warmup_steps / part.steps for part in run.phases] == pytest.approx([0.1, 0.1], abs=0.01)
    plain = plan_run(recipe.model_copy(update={"min_steps": None}), recipe.make_space(3), images)
    assert plain.steps == pytest.approx(4 * 1.2 * (images // 8), abs=1)


def test_the_shape_of_the_rate():
    part = plan_run(*ofa(), 128 * 10).phases[1]
    assert (part.steps, part.warmup_steps, part.lr) == (1250, 50, pytest.approx(0.06))
    assert part.learning_rate(0) == pytest.approx(0.06 * (1 / 32 + 31 / 32 / 50))
    assert part.learning_rate(24) == pytest.approx(0.06 * (1 + 1 / 32) / 2)
    assert part.learning_rate(50 + 600) == pytest.approx(0.03)  # half of the cosine
    assert part.learning_rate(1249) < 0.06 * 1e-5
    floored = dataclasses.replace(part, phase=part.phase.model_copy(update={"final_lr": 0.05}))
    assert floored.learning_rate(1249) == pytest.approx(0.003)


def test_the_ramp_of_the_subnets():
    part = plan_run(sandwich(), sandwich().make_space(3), 8 * 10).phases[1]  # 10 steps, a ramp of 5
    assert [part.subnet_weight(step) for step in range(10)] == pytest.approx([0.2, 0.4, 0.6, 0.8] + [1.0] * 6)
    assert plan_run(shrinking(), shrinking().make_space(3), 80).phases[1].subnet_weight(0) == 1.0


@pytest.mark.parametrize("recipe", [shrinking(scale=10.0, batch=1), sandwich(scale=8.0, batch=1)], ids=lambda r: r.name)
def test_cost_comes_out_as_planned(recipe, tmp_path):
    """The draws of a run and what they cost by its own account, without the arithmetic."""
    run = trainer(recipe, tmp_path, images(20, 0))
    cost = []
    for step in range(run.plan.steps):
        part = run.plan.at(step)
        rng = run.batches.generator(step)
        resolution = int(rng.choice(part.resolutions()))
        subnets = [part.subnet(choice, resolution, rng) for choice in part.phase.subnets]
        cost.append(run.macs_of(part, subnets))
    assert run.plan.steps > 300
    assert sum(cost) == pytest.approx(run.plan.macs, rel=0.02)


def test_progress_tells_cost(tmp_path):
    seen = []
    run = trainer(shrinking(), tmp_path)
    run.run(seen.append)
    assert seen[-1].macs == pytest.approx(run.plan.macs, rel=0.2)  # 12 steps: the draws' own spread
    assert seen[-1].share == 1.0
    shares = [progress.share for progress in seen]
    assert shares == sorted(shares)
    assert all(progress.total_steps == 12 for progress in seen)


def test_a_space_without_the_papers_choices_is_refused_by_phase():
    space = {"width_mult": 0.25, "strides": [1, 2, 2, 2, 1, 1], "resolutions": [28], "depths": [1, 2, 4]}
    recipe = load_recipe("ofa", "fashion-mnist", {"space": space})
    with pytest.raises(ConfigError, match="phase 'depth 1' of the recipe trains what") as caught:
        plan_run(recipe, recipe.make_space(10), 1000)
    assert "depths = (3, 4), of (1, 2, 4)" in caught.value.why


@pytest.mark.parametrize("preset", list_presets())
@pytest.mark.parametrize(
    "name", [name for name in list_recipes() if not name.startswith("transfer")]
)  # they have least steps
def test_recipes_are_compared_at_equal_cost(name, preset):
    count = 45_000
    anchor = colour(load_recipe("ofa", preset))
    space = anchor.make_space(10)
    wanted = plan_run(anchor, space, count).macs
    recipe = colour(load_recipe(name, preset))
    scaled = recipe.model_copy(update={"scale": scale_for(recipe, space, count, wanted)})
    tolerance = 0.01 if plan_run(anchor, space, count).steps > 500 else 0.1  # whole steps are coarse in short runs
    assert plan_run(scaled, space, count).macs == pytest.approx(wanted, rel=tolerance)


def test_ours_costs_about_what_shrinking_costs_at_the_same_scale():
    """As the comment in recipes/ofa-edge.toml says; `scale_for` makes it equal."""
    for preset in ("fashion-mnist", "cifar10"):
        costs = {}
        for name in ("ofa", "ofa-edge"):
            recipe = load_recipe(name, preset, {"scale": 1.0})
            costs[name] = plan_run(recipe, recipe.make_space(10), 45_000).macs
        assert 1.0 <= costs["ofa-edge"] / costs["ofa"] < 1.1, preset


def test_cost_shares_of_shrinking():
    """A subnet-epoch of the full net is dearest; a teacher adds a forward pass, a third of a step of it."""
    recipe, space = ofa()
    run = plan_run(recipe, space, 55_000)
    share = {part.phase.name: part.macs_per_image * part.steps * run.batch / run.macs for part in run.phases}
    assert sum(share.values()) == pytest.approx(1.0)
    per_epoch = {name: share[name] / TABLE[name][0] for name in share}
    assert per_epoch["full"] < per_epoch["kernel"] < per_epoch["full"] * 4 / 3  # smaller kernels, but a teacher
    assert per_epoch["expand 2"] < per_epoch["expand 1"]  # ratio 3 joins
    assert share["expand 2"] == max(share.values())


def test_a_plan_in_words():
    for name in list_recipes():
        start = {"start": {"supernet": "x"}} if name.startswith("transfer") else None
        recipe = load_recipe(name, "fashion-mnist", start)
        run = plan_run(recipe, recipe.make_space(10), 55_000)
        head, *lines = describe(recipe, run, 55_000)
        assert recipe.name in head
        assert "55000 training images" in head
        assert f"{run.macs / 1e12:.3g} T MACs" in head
        fitted = lines[:1] if name.startswith("transfer") else []
        assert all(line.startswith("  head: in closed form") for line in fitted)
        for line, part in zip(lines[len(fitted) :], run.phases, strict=True):
            assert line.startswith(f"  {part.phase.name}: {part.steps} steps")
            assert ("channels sorted first" in line) == part.phase.sort_channels
            assert ("frozen full net" in line) == (part.phase.distill == "teacher")
            assert " + ".join(part.phase.subnets) in line
        assert sum(int(line.rsplit("; ", 1)[1].split(" %")[0]) for line in lines) == pytest.approx(100, abs=3)
