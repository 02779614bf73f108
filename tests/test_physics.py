"""Fingerprints of the physics: what counts as the same, and what becomes of the others."""

import copy
import json

import jax
import numpy as np
import pytest
from probe_envs import Ruler
from simulated import saturating, write_study

from crlscale.analysis.width_vs_depth import compare_families
from crlscale.envs.fingerprint import STEPS, fingerprint, trajectory
from crlscale.envs.registry import make_env, task_spec
from crlscale.errors import CrlscaleError
from crlscale.physics import groups, same_physics
from crlscale.score import load_scores
from crlscale.store import read_run_metrics, write_metrics

ONE = {"backend": "spring", "time_step": 0.005, "sub_steps": 10, "trajectory": [[0.0, 1.0, 2.0]] * 10}


def told(env) -> dict:
    return fingerprint(env.spec, trajectory(env))


def changed(**keys) -> dict:
    return {**copy.deepcopy(ONE), **keys}


def moved(by: float) -> dict:
    other = changed()
    other["trajectory"][9] = [0.0, 1.0, 2.0 + by]
    return other


# --- the numbers ------------------------------------------------------------------------
def test_fingerprint_is_the_trajectory_of_a_fixed_start():
    """A chain by hand: the first two numbers of its state are cosines of its turned joints."""
    env = make_env(task_spec("chain_2"))
    found = told(env)
    assert (found["backend"], found["time_step"], found["sub_steps"]) == ("jax", None, None)
    angles = np.asarray(env.reset(jax.random.PRNGKey(0)).pipeline_state)
    for index, (first, second, square) in enumerate(found["trajectory"]):
        angles = angles + 0.15 * 0.2 * np.sin(0.7 * index + np.arange(2))
        np.testing.assert_allclose([first, second], np.cos(angles), atol=1e-5)
        assert square == pytest.approx(0.5)
    assert len(found["trajectory"]) == STEPS
    assert json.loads(json.dumps(found)) == found == told(env)


def test_fingerprint_of_another_env_is_another():
    assert not same_physics(told(make_env(task_spec("chain_2"))), told(Ruler()))


# --- same or not ------------------------------------------------------------------------
def test_agreement():
    assert same_physics(ONE, moved(0.9e-4)) and not same_physics(ONE, moved(1.2e-4))
    for key, value in (("backend", "mjx"), ("time_step", 0.01), ("sub_steps", 5)):
        assert not same_physics(ONE, changed(**{key: value}))
    assert not same_physics(ONE, changed(trajectory=ONE["trajectory"][:9]))
    assert not same_physics(ONE, moved(float("nan")))


def test_groups_by_size():
    texts = {"a": moved(1.0), "b": ONE, "c": moved(1e-5), "d": None, "e": moved(2.0)}
    found = groups({key: value and json.dumps(value) for key, value in texts.items()})
    assert found == {"b": 0, "c": 0, "d": 0, "a": 1, "e": 2}
    assert groups({"a": None}) == {"a": 0}


# --- a study of two physics -------------------------------------------------------------
def stamp(folder, study_of) -> None:
    """Give the runs of a written study the fingerprints study_of(config)."""
    scores = load_scores(folder)
    for run_id, config in scores.study.configs.items():
        rows = read_run_metrics(folder / "runs" / run_id)
        rows[0]["physics"] = json.dumps(study_of(config))
        write_metrics(folder / "runs" / run_id, rows, {"run_id": run_id})


@pytest.fixture
def mixed(tmp_path):
    """Seeds 0, 1, 2 of four depths; seed 2 was run with other physics."""
    folder = write_study(tmp_path, {"depth": [2, 4, 8, 16]}, saturating)
    stamp(folder, lambda config: moved(1.0) if config.seed == 2 else ONE)
    return folder


def test_other_physics_is_left_out_and_told(mixed):
    scores = load_scores(mixed)
    assert [[run.seed for run in cell.scored] for cell in scores.cells] == [[0, 1]] * 4
    assert {cell.note for cell in scores.cells} == {"1 other physics"}
    assert "2 different physics" in scores.warning and "4 runs are left out" in scores.warning
    other = load_scores(mixed, physics=2)
    assert [[run.seed for run in cell.scored] for cell in other.cells] == [[2]] * 4
    assert "8 runs are left out" in other.warning
    with pytest.raises(CrlscaleError, match="--physics 3"):
        load_scores(mixed, physics=3)


def test_one_physics_has_no_warning(tmp_path):
    folder = write_study(tmp_path, {"depth": [2, 4]}, saturating)
    assert load_scores(folder).warning is None
    stamp(folder, lambda config: ONE)
    assert load_scores(folder).warning is None


def test_studies_of_different_physics_are_not_compared(tmp_path, mixed):
    width = write_study(tmp_path, {"width": [8, 16]}, saturating, settings={"depth": 2})
    stamp(width, lambda config: moved(1.0))
    with pytest.raises(CrlscaleError, match="different physics"):
        compare_families(load_scores(mixed), load_scores(width))
    found = compare_families(load_scores(mixed, physics=2), load_scores(width))
    assert found.sentence
