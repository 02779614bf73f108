"""A plan: which runs a grid makes, what they are called, how they share processes, what is refused."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refusal

from crlscale.config import DEFAULT_ENV
from crlscale.plan import plan_study
from crlscale.presets import preset_settings
from crlscale.run import partition
from crlscale.settings import make_config
from crlscale.shape import shape
from crlscale.study import Execution

DEPTHS = {"depth": [4, 8, 16]}


def plan(axes=DEPTHS, **options):
    return plan_study(axes, **{"preset": "smoke", "seeds": 2, **options})


def equal_of(**change):
    return {"what": "parameters", "solve": "width", "reference": {"depth": 4}, **change}


# --- the plan ------------------------------------------------------------------------------
def test_the_largest_plan_is_planned_and_the_next_one_refused(monkeypatch):
    monkeypatch.setattr("crlscale.plan.MOST_RUNS", 6)
    assert len(plan_study({"depth": [4, 8]}, seeds=3, preset="smoke").configs) == 6
    assert refusal(plan_study, {"depth": [4, 8]}, seeds=4, preset="smoke").remedy == "--seeds 3"
    refused = refusal(plan_study, {"width": list(range(1, 8))}, seeds=1, preset="smoke")
    assert "7 combinations" in refused.message


def test_every_combination_of_levels_with_every_seed():
    axes = {"depth": [4, 8], "width": [16, 32, 48], "batch_size": [32, 64]}
    study = plan(axes, seeds=3)
    wanted = list(itertools.product(*axes.values(), range(3)))
    made = [(c.depth, c.width, c.batch_size, c.seed) for c in study.configs.values()]
    assert made == wanted
    assert [config.run_id for config in study.configs.values()] == list(study.configs)
    assert list(study.cells) == list(itertools.product(*axes.values()))
    for levels, run_ids in study.cells.items():
        assert [study.configs[run_id].seed for run_id in run_ids] == [0, 1, 2]
        assert {(c.depth, c.width, c.batch_size) for c in map(study.configs.get, run_ids)} == {levels}


def test_axis_wins_over_setting_wins_over_preset():
    preset = preset_settings("smoke")
    study = plan({"depth": [4]}, settings={"width": preset["width"] + 8, "discount": 0.9}, seeds=1)
    (config,) = study.configs.values()
    expected = {**preset, "width": preset["width"] + 8, "discount": 0.9, "depth": 4, "seed": 0}
    assert config == make_config(expected)


@pytest.mark.parametrize("per_program", [1, 2, 3, 5, 9])
def test_groups_are_neighbouring_seeds_of_one_cell(per_program):
    study = plan(seeds=5, execution=Execution(seeds_per_program=per_program))
    assert [run_id for group in study.groups for run_id in group] == list(study.configs)
    for group in study.groups:
        assert len({study.configs[run_id].depth for run_id in group}) == 1
    sizes = [len(group) for group in study.groups]
    of_cell = [per_program] * (5 // per_program) + [5 % per_program] * (5 % per_program > 0)
    assert sizes == 3 * of_cell


def test_same_plan_same_name():
    assert plan().name == plan().name
    assert plan().name.startswith(f"depth-{DEFAULT_ENV}-smoke-")
    assert plan({"depth": [4], "batch_size": [32]}).name.startswith("depth-batch-")


@pytest.mark.parametrize(
    "change",
    [
        {"axes": {"depth": [4, 8]}},
        {"axes": {"width": [16]}},
        {"seeds": 3},
        {"preset": "quick"},
        {"settings": {"discount": 0.123}},
        {"settings": {"env": "chain_5"}},
        {"execution": Execution(threads=2)},
        {"execution": Execution(seeds_per_program=2)},
    ],
    ids=str,
)
def test_another_plan_has_another_name(change):
    assert plan(**change).name != plan().name
    assert not plan(**change, name="same").same_plan(plan(name="same"))


def test_order_of_levels_and_wording_do_not_make_another_study():
    assert plan({"depth": [16, 4, 8]}).name == plan().name
    assert plan(question="Why?").name == plan().name


# --- what is refused -----------------------------------------------------------------------
@pytest.mark.parametrize(
    "axes, options, words",
    [
        (DEPTHS, {"seeds": 0}, "at least one seed"),
        (DEPTHS, {"seeds": -3}, "at least one seed"),
        (DEPTHS, {"seeds": 1.5}, "at least one seed"),
        ({"depth": [4, 8, 4]}, {}, "names a level twice"),
        ({"depth": [4], "width": [16, 16]}, {}, "names a level twice"),
        ({"depth": []}, {}, "has no levels"),
        ({"depth": 4}, {}, "has no levels"),
        ({"depth": [6]}, {}, "nearest legal: 4 and 8"),
        ({"depth": ["4"]}, {}, "depth = '4'"),
        ({"depth": [4.5]}, {}, "depth = 4.5"),
        ({"width": [0]}, {}, "width = 0"),
        ({"batch_size": [1]}, {}, "batch_size = 1"),
        ({"widht": [4]}, {}, "unknown config key 'widht'; near keys: width"),
        ({"seed": [1, 2]}, {}, "`seed` is set by --seeds"),
        (DEPTHS, {"settings": {"seed": 3}}, "`seed` is set by --seeds"),
        (DEPTHS, {"settings": {"depth": 4}}, "is an axis of this study and also set to 4"),
        (DEPTHS, {"settings": {"widht": 4}}, "unknown config key 'widht'"),
        (DEPTHS, {"settings": {"env": "chain_9000"}}, "2 to 64 links"),
        (DEPTHS, {"settings": {"env": "point_mase"}}, "unknown env"),
        (DEPTHS, {"preset": "smok"}, "legal: smoke, quick, laptop, paper"),
        (DEPTHS, {"name": ""}, "study name ''"),
        (DEPTHS, {"name": "a/b"}, "study name 'a/b'"),
        (DEPTHS, {"name": ".."}, "study name '..'"),
        (DEPTHS, {"name": "-v"}, "study name '-v'"),
        (DEPTHS, {"name": "my study"}, "study name 'my study'"),
        (DEPTHS, {"name": "a\n"}, "study name 'a\\n'"),
        (DEPTHS, {"name": "x" * 101}, "at most 100"),
    ],
)
def test_illegal_plan_is_one_line(axes, options, words):
    assert words in refusal(plan, axes, **options).message


@pytest.mark.parametrize("name", ["a", "my-study", "a.b_c-1", "2026", "x" * 100])
def test_legal_names(name):
    assert plan(name=name).name == name


# --- axes of any field, lists, rules, filters, equal sizes ----------------------------------------
def settings_of(study, *fields):
    return [tuple(getattr(config, field) for field in fields) for config in study.configs.values()]


@pytest.mark.parametrize(
    "axis, levels, seen",
    [
        ("env", ["chain_4", "point_u_maze"], ["chain_4", "point_u_maze"]),
        ("discount", [None, 0.9], [0.98, 0.9]),
        ("protocol", ["corrected", "legacy"], ["corrected", "legacy"]),
        ("precision", ["float32", "mixed"], ["float32", "mixed"]),
        ("replay_precision", ["float32", "bfloat16"], ["float32", "bfloat16"]),
        ("goal_in_state", [False, True], [False, True]),
        ("actor_depth", [None, 8], [None, 8]),
        ("hindsight_window", [None, 10], [None, 10]),
        ("target_entropy", [-0.5, -1.0], [-0.5, -1.0]),
    ],
)
def test_axis_over_any_field(axis, levels, seen):
    study = plan({axis: levels}, settings={"goal_set": None} if axis == "goal_set" else {})
    if axis == "discount":
        seen = [make_config({}).discount, 0.9]
    assert study.axes == {axis: seen}
    assert list(study.cells) == [(level,) for level in seen]
    assert len(study.configs) == 2 * len(levels)


def test_listed_cells_are_crossed_with_the_axes():
    study = plan(
        {"env": ["chain_4", "chain_5"]},
        cells=[{"depth": 4, "width": 64}, {"depth": 64, "width": 16}, {"depth": 4}],
        seeds=1,
    )
    width = preset_settings("smoke")["width"]
    pairs = [(4, 64), (64, 16), (4, width)]
    wanted = [(env, *pair) for env in ("chain_4", "chain_5") for pair in pairs]
    assert settings_of(study, "env", "depth", "width") == wanted
    assert list(study.cells) == wanted
    assert study.axes == {"env": ["chain_4", "chain_5"], "depth": [4, 64], "width": [64, 16]}


def test_rules_set_what_depends_on_a_level_the_last_wins():
    study = plan(
        {"env": ["chain_4", "chain_5", "chain_6"]},
        when=[
            {"where": "env != 'chain_4'", "set": {"env_steps": 1600, "discount": 0.9}},
            {"where": "env_steps == 1600 and env == 'chain_6'", "set": {"env_steps": 3200}},
        ],
        seeds=1,
    )
    assert [steps for (steps,) in settings_of(study, "env_steps")] == [800, 1600, 3200]
    assert [d for (d,) in settings_of(study, "discount")][1:] == [0.9, 0.9]


def test_filter_leaves_cells_and_levels_out():
    axes = {"actor_depth": [4, 16, 64], "critic_depth": [4, 16]}
    study = plan(axes, where=["actor_depth <= critic_depth", "critic_depth != 4"])
    assert list(study.cells) == [(4, 16), (16, 16)]
    assert study.axes == {"actor_depth": [4, 16], "critic_depth": [16]}
    assert study.where == ["actor_depth <= critic_depth", "critic_depth != 4"]


def test_what_a_filter_leaves_out_need_not_be_legal():
    study = plan({"depth": [2, 6], "block_size": [2, 4]}, where=["depth == 2 or block_size == 2"])
    assert list(study.cells) == [(2, 2), (2, 4), (6, 2)]


def test_equal_parameters_by_width():
    """The reference has its own width back; a deeper cell is the nearest whole width."""
    equal = {"what": "parameters", "solve": "width", "reference": {"depth": 4, "width": 64}}
    study = plan({"depth": [4, 16, 64]}, equal=equal, seeds=1, settings={"env": "chain_4"})
    widths = [width for (width,) in settings_of(study, "width")]
    assert widths[0] == 64 and widths[0] > widths[1] > widths[2]
    ratios = study.equal["ratios"]
    assert list(ratios) == list(study.configs)
    assert ratios[next(iter(ratios))] == 1.0
    for run_id, config in study.configs.items():
        near = [
            measured(config.model_copy(update={"width": config.width + step})) for step in (-1, 0, 1)
        ]
        target = measured(next(iter(study.configs.values())))
        assert ratios[run_id] == pytest.approx(near[1] / target)
        assert abs(near[1] - target) <= min(abs(near[0] - target), abs(near[2] - target))


def measured(config):
    from crlscale.cost import actor_parameters, critic_parameters

    return actor_parameters(config) + critic_parameters(config)


def test_equal_flops_by_a_legal_depth():
    equal = {"what": "update_flops", "solve": "depth", "reference": {"depth": 4, "width": 256}}
    study = plan({"width": [256, 128, 64]}, equal=equal, seeds=1)
    depths = [depth for (depth,) in settings_of(study, "depth")]
    assert depths[0] == 4 and depths[0] < depths[1] < depths[2]
    assert all(depth % 4 == 0 for depth in depths)
    assert all(0.7 < ratio < 1.4 for ratio in study.equal["ratios"].values())


@pytest.mark.parametrize(
    "options, words",
    [
        ({"axes": {}}, "at least one axis"),
        ({"cells": [{"depth": 4}]}, "'depth' is an axis and in a cell"),
        ({"cells": [{"widht": 4}]}, "unknown config key 'widht'"),
        ({"cells": [{"seed": 4}]}, "`seed` is set by --seeds"),
        ({"cells": [{"width": 16}, {"width": 16}]}, "two cells have the same settings"),
        ({"axes": {"actor_depth": [None, 4]}, "settings": {"depth": 4}, "where": ["depth > 4"]}, "no cell"),
        ({"axes": {"discount": [None, make_config({}).discount]}}, "two cells have the same settings"),
        ({"when": [{"where": "depth == 5", "set": {"width": 8}}]}, "holds for no cell"),
        ({"when": [{"where": "depth == 4", "set": {"depth": 8}}]}, "set by `when` too"),
        ({"when": [{"where": "depth == 4", "set": {"dept": 8}}]}, "unknown config key 'dept'"),
        ({"where": ["depth > 99"]}, "no cell is left by 'depth > 99'"),
        ({"where": ["dpth > 99"]}, "unknown config key 'dpth'"),
        ({"equal": equal_of(solve="depth")}, "'depth' is an axis of this study and also solved for"),
        ({"equal": equal_of(what="size")}, "legal: parameters, update_flops, train_flops"),
        ({"equal": equal_of(solve="batch_size")}, "legal: width, depth"),
        ({"equal": equal_of(reference={})}, "the reference is empty"),
        ({"equal": equal_of(reference={"depth": 1, "width": 1}), "axes": {"depth": [64, 1024]}}, "no width gives"),
    ],
)  # fmt: skip
def test_grid_that_cannot_be_planned_is_one_line(options, words):
    assert words in refusal(plan, **options).message


# --- processes -------------------------------------------------------------------------------------
@given(
    seeds=st.integers(1, 5),
    per_program=st.integers(1, 3),
    per_process=st.integers(1, 7),
)
def test_runs_that_share_a_process_have_one_shape(seeds, per_program, per_process):
    execution = Execution(seeds_per_program=per_program, runs_per_process=per_process)
    study = plan({"depth": [4, 8], "discount": [0.9, 0.95]}, seeds=seeds, execution=execution)
    assert sorted(run_id for group in study.groups for run_id in group) == sorted(study.configs)
    for group in study.groups:
        programs = partition(study, group)
        assert [run_id for program in programs for run_id in program] == group
        assert len({(shape(study.configs[program[0]]), len(program)) for program in programs}) == 1
        assert len(programs) == 1 or len(group) <= per_process
        for program in programs:
            cells = {study.configs[run_id].model_copy(update={"seed": 0}).run_id for run_id in program}
            assert len(cells) == 1 and len(program) <= per_program


def test_cells_of_one_shape_share_a_process_and_programs_stay_whole():
    execution = Execution(seeds_per_program=2, runs_per_process=8)
    study = plan({"discount": [0.9, 0.95]}, seeds=3, execution=execution)
    ids = list(study.configs)
    assert study.groups == [[*ids[0:2], *ids[3:5]], [ids[2], ids[5]]]
    assert partition(study, ids) == [ids[0:2], [ids[2]], ids[3:5], [ids[5]]]
    assert partition(study, [ids[1], ids[3], ids[4]]) == [[ids[1]], ids[3:5]]


def test_one_run_a_process_has_the_name_it_always_had():
    """The committed depth study, planned before there were processes of several runs."""
    study = plan_study({"depth": [2, 4, 8, 16, 32, 64]}, seeds=5, preset="laptop")
    assert study.name == "depth-chain_8-laptop-a7232c2a"
    more = plan_study(
        {"depth": [2, 4, 8, 16, 32, 64]},
        seeds=5,
        preset="laptop",
        execution=Execution(runs_per_process=5),
    )
    assert more.name != study.name and list(more.configs) == list(study.configs)


def test_a_study_over_tasks_names_how_many():
    study = plan({"env": ["chain_4", "chain_5"], "depth": [4]})
    assert study.name.startswith("depth-2_tasks-smoke-")
    assert study.question == "How does time at goal on 2 tasks change with depth?"
