"""A study: what is planned, how it is written down and found again, and what is refused."""

import json
import os
import random
from pathlib import Path

import pytest
from refusals import refusal

from crlscale import study as module
from crlscale.config import DEFAULT_ENV
from crlscale.plan import plan_study
from crlscale.study import (
    Execution,
    find_planned,
    find_study,
    load_study,
    register_study,
)

DEPTHS = {"depth": [4, 8, 16]}


def plan(axes=DEPTHS, **options):
    return plan_study(axes, **{"preset": "smoke", "seeds": 2, **options})


def content(folder):
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in Path(folder).rglob("*") if p.is_file()}


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


# --- studies of older versions ---------------------------------------------------------------
RESULTS = Path(__file__).parent.parent / "results"
REACHER = {"env": "reacher", "env_steps": 1_000_000, "prefill_steps": 500, "replay_capacity": 5000}


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/study.json")), ids=lambda p: p.parent.name)
def test_committed_study_is_still_read(path):
    found = load_study(path.parent)
    assert found.name == path.parent.name and found.configs
    assert list(found.configs) == [config.run_id for config in found.configs.values()]


@pytest.mark.parametrize(
    "name, levels, seeds, settings",
    [
        ("depth-chain_8-laptop-a7232c2a", [2, 4, 8, 16, 32, 64], 5, {}),
        ("depth-reacher-laptop-70dd6641", [2, 4, 8, 16], 3, REACHER),
    ],
)
def test_study_of_an_older_version_is_what_its_command_plans_today(name, levels, seeds, settings):
    today = plan_study({"depth": levels}, seeds=seeds, preset="laptop", settings=settings)
    found = load_study(RESULTS / name)
    assert found.schema_version == 1 and found.execution == Execution()
    assert today.name == name and today.same_plan(found)
    assert find_planned(RESULTS, today) == found
