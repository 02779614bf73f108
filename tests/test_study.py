"""A study: what is planned, how it is written down and found again, and what is refused."""

import itertools
import json
import os
import random
from pathlib import Path

import pytest

from crlscale import study as module
from crlscale.config import DEFAULT_ENV
from crlscale.errors import CrlscaleError
from crlscale.presets import preset_settings
from crlscale.settings import make_config
from crlscale.study import (
    Execution,
    find_planned,
    find_study,
    load_study,
    plan_study,
    read_study_file,
    register_study,
)

DEPTHS = {"depth": [4, 8, 16]}


def plan(axes=DEPTHS, **options):
    return plan_study(axes, **{"preset": "smoke", "seeds": 2, **options})


def refusal(function, *arguments, **options) -> CrlscaleError:
    """The one-line error of a call that must be refused; it says what to type instead."""
    with pytest.raises(CrlscaleError) as refused:
        function(*arguments, **options)
    assert "\n" not in str(refused.value)
    assert refused.value.remedy
    return refused.value


def content(folder):
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in Path(folder).rglob("*") if p.is_file()}


# --- the plan ------------------------------------------------------------------------------
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


# --- on disk -------------------------------------------------------------------------------
def test_study_comes_back_as_it_was_written(tmp_path):
    axes = {"depth": [4, 8], "width": [16, 32]}
    study = plan(axes, settings={"goal_set": None, "env": "point_u_maze"}, question="Why?")
    folder, registered = register_study(tmp_path, study)
    assert folder == tmp_path / study.name
    assert load_study(folder) == registered == study
    assert load_study(folder).groups == study.groups
    assert list(load_study(folder).configs) == list(study.configs)


def test_registering_again_changes_nothing(tmp_path, monkeypatch):
    first = register_study(tmp_path, plan())[1]
    before = content(tmp_path)
    later = plan().model_copy(update={"created": "2099-01-01T00:00:00+00:00"})
    assert register_study(tmp_path, later)[1] == first
    assert find_planned(tmp_path, later) == first
    assert content(tmp_path) == before


def test_planning_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_planned(tmp_path / "results", plan()) == plan()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change, words",
    [
        ({"axes": {"depth": [4, 8]}}, "axes {'depth': [4, 8, 16]} there, {'depth': [4, 8]} asked for"),
        ({"seeds": 3}, "seeds 2 there, 3 asked for"),
        ({"settings": {"discount": 0.123}}, "there, 0.123 asked for"),
        ({"settings": {"env": "chain_5"}}, f"env = '{DEFAULT_ENV}' there, 'chain_5' asked for"),
        ({"execution": Execution(threads=2)}, "threads 1 there, 2 asked for"),
        ({"execution": Execution(seeds_per_program=2)}, "seeds_per_program 1 there, 2 asked for"),
    ],
)
@pytest.mark.parametrize("function", [register_study, find_planned])
def test_name_of_another_plan_is_refused_and_the_field_named(tmp_path, change, words, function):
    register_study(tmp_path, plan(name="mine"))
    before = content(tmp_path)
    error = refusal(function, tmp_path, plan(name="mine", **change))
    assert words in error.message and "--study NAME" in error.remedy
    assert content(tmp_path) == before


def damage(folder, change):
    path = folder / "study.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def first_config(data):
    return next(iter(data["configs"].values()))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop("groups"),
        lambda data: data.update(seeds="many"),
        lambda data: data.update(configs=[]),
        lambda data: data.update(surprise=1),
        lambda data: data.update(schema_version="1"),
        lambda data: data.pop("schema_version"),
        lambda data: first_config(data).update(width=0),
        lambda data: first_config(data).update(depth=5),
        lambda data: first_config(data).update(env="no_such_env"),
    ],
)
def test_damaged_study_is_one_line_that_names_it(tmp_path, change):
    folder, _ = register_study(tmp_path, plan(name="mine"))
    damage(folder, change)
    before = content(tmp_path)
    assert str(folder / "study.json") in refusal(load_study, folder).message
    assert "study.json" in refusal(register_study, tmp_path, plan(name="mine")).message
    assert content(tmp_path) == before


def test_study_cut_short_anywhere_is_one_line(tmp_path):
    folder, _ = register_study(tmp_path, plan(name="mine"))
    whole = (folder / "study.json").read_bytes()
    for cut in [0, 1, *random.Random(0).sample(range(2, len(whole) - 2), 20)]:
        (folder / "study.json").write_bytes(whole[:cut])
        assert str(folder / "study.json") in refusal(load_study, folder).message


def test_newer_study_is_refused(tmp_path):
    folder, _ = register_study(tmp_path, plan(name="mine"))
    damage(folder, lambda data: data.update(schema_version=module.STUDY_SCHEMA + 1, more="fields"))
    error = refusal(load_study, folder)
    assert f"has schema {module.STUDY_SCHEMA + 1}" in error.message
    assert error.remedy == "a newer crlscale"


def test_folder_that_refuses_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    error = refusal(register_study, tmp_path / "file" / "results", plan())
    assert "cannot write" in error.message and "--results" in error.remedy


# --- finding -------------------------------------------------------------------------------
def register(results, created, axes=DEPTHS, **options):
    study = plan(axes, **options).model_copy(update={"created": f"{created}T00:00:00+00:00"})
    return register_study(results, study)[0]


def test_newest_study_with_the_axis_is_found(tmp_path):
    newest = register(tmp_path, "2026-03-01", name="a-newest")
    register(tmp_path, "2026-01-01", name="z-oldest")
    width = register(tmp_path, "2026-05-01", {"width": [16]}, name="width")
    grid = register(tmp_path, "2026-02-01", {"depth": [4], "batch_size": [32]}, name="grid")
    os.utime(tmp_path / "z-oldest" / "study.json")  # the time of the file does not count
    assert find_study(tmp_path) == width
    assert find_study(tmp_path, axis="depth") == newest
    assert find_study(tmp_path, axis="batch_size") == grid
    error = refusal(find_study, tmp_path, axis="discount")
    assert "does not hold a study with axis 'discount'" in error.message


def test_study_is_found_by_name_or_folder(tmp_path, monkeypatch):
    folder = register(tmp_path / "results", "2026-01-01", name="mine")
    assert find_study(tmp_path / "results", "mine") == folder
    assert find_study(tmp_path / "elsewhere", str(folder)) == folder
    monkeypatch.chdir(tmp_path)
    assert find_study(Path("nowhere"), "results/mine").resolve() == folder


@pytest.mark.parametrize("name", ["yours", "", "mine/runs", "x" * 5000])
def test_unknown_study_lists_those_there_are(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    register(tmp_path, "2026-01-01", name="mine")
    error = refusal(find_study, tmp_path, name)
    assert "there are: mine" in error.message and error.value == name


@pytest.mark.parametrize("folder", ["empty", "missing", "file", "file/below"])
def test_results_without_a_study_say_what_to_type(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    error = refusal(find_study, tmp_path / folder, axis="batch_size")
    assert error.remedy == "crlscale sweep batch --preset smoke"
    assert "there are: none" in refusal(find_study, tmp_path / folder, "mine").message


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


# --- study files ---------------------------------------------------------------------------
def write_toml(folder, text):
    path = folder / "study.toml"
    path.write_text(text)
    return path


def test_file_is_the_plan_that_it_says(tmp_path):
    path = write_toml(
        tmp_path,
        """
        name = "mine"
        question = "Why?"
        preset = "smoke"
        seeds = 4
        [axes]
        depth = [4, 8]
        width = [16, 32]
        [set]
        discount = 0.98
        [execution]
        seeds_per_program = 2
        """,
    )
    found = plan_study(**read_study_file(path))
    wanted = plan_study(
        {"depth": [4, 8], "width": [16, 32]},
        name="mine",
        question="Why?",
        preset="smoke",
        seeds=4,
        settings={"discount": 0.98},
        execution=Execution(seeds_per_program=2),
    )
    assert found.model_copy(update={"created": wanted.created}) == wanted


def test_file_may_leave_out_all_but_the_axes(tmp_path):
    path = write_toml(tmp_path, "[axes]\ndepth = [4, 8]")
    assert plan_study(**read_study_file(path)).name == plan_study({"depth": [4, 8]}).name


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.parent.glob("sweeps/*.toml")), ids=str)
def test_committed_files_are_legal_plans(path):
    study = plan_study(**read_study_file(path))
    assert study.question and len(study.configs) == study.seeds * len(study.cells)


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "no [axes] table"),
        ("seeds = 3", "no [axes] table"),
        ("axes = []", "axes = [] is not a table"),
        ("[axes]", "no [axes] table"),
        ("axes = 3", "axes = 3 is not a table"),
        ("depth = [4]", "unknown key 'depth'"),
        ("seeds = true\n[axes]\ndepth = [4]", "seeds = True is not a whole number"),
        ("seeds = '3'\n[axes]\ndepth = [4]", "seeds = '3' is not a whole number"),
        ("preset = ['smoke']\n[axes]\ndepth = [4]", "is not a text"),
        ("name = 5\n[axes]\ndepth = [4]", "name = 5 is not a text"),
        ("question = 5\n[axes]\ndepth = [4]", "question = 5 is not a text"),
        ("set = 5\n[axes]\ndepth = [4]", "set = 5 is not a table"),
        ("execution = 5\n[axes]\ndepth = [4]", "execution = 5 is not a table"),
        ("[axes]\ndepth = [4]\n[execution]\nthreads = 0", "[execution] threads = 0"),
        ("[axes]\ndepth = [4]\n[execution]\nprocesses = 2", "[execution] processes = 2"),
        ("[axes\ndepth = [4]", "is not a readable TOML file"),
        ("[axes]\ndepth = [4]\n[axes]", "is not a readable TOML file"),
    ],
)
def test_file_that_is_no_plan_is_one_line(tmp_path, text, words):
    path = write_toml(tmp_path, text)
    error = refusal(read_study_file, path)
    assert words in error.message and str(path) in error.message


def test_file_that_is_not_there_lists_those_that_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "there are: none in sweeps/" in refusal(read_study_file, Path("mine.toml")).message
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "yours.toml").write_text("")
    assert "there are: sweeps/yours.toml" in refusal(read_study_file, Path("mine.toml")).message


def test_file_that_is_no_text_is_one_line(tmp_path):
    (tmp_path / "study.toml").write_bytes(b"\xff\xfe")
    assert "not a readable TOML file" in refusal(read_study_file, tmp_path / "study.toml").message
    assert "not a readable TOML file" in refusal(read_study_file, tmp_path).message
