"""Totals of a plan, by hand from its runs."""

import math
from pathlib import Path

import pytest

from crlscale.cost import checkpoint_bytes, replay_bytes, run_seconds, start_seconds, work_seconds
from crlscale.forecast import forecast, study_seconds
from crlscale.plan import plan_study
from crlscale.study import Execution


def study_of(axes, seeds=2, **execution):
    settings = {"env": "chain_4"}
    execution = Execution(**execution)
    return plan_study(axes, seeds=seeds, preset="smoke", settings=settings, execution=execution)


def test_the_first_process_of_a_shape_compiles():
    study = study_of({"depth": [4, 8]}, seeds=3)
    shallow, deep = (study.configs[run_ids[0]] for run_ids in study.cells.values())
    alone = sum(run_seconds(c) + 2 * run_seconds(c, warm=True) for c in (shallow, deep))
    assert study_seconds(study, 1) == pytest.approx(alone)
    assert study_seconds(study, 2) == pytest.approx(alone / 2)
    assert study_seconds(study, 99) == pytest.approx(run_seconds(deep))  # the longest


def test_cells_of_one_shape_compile_once():
    study = study_of({"discount": [0.9, 0.95]})
    config = next(iter(study.configs.values()))
    wanted = run_seconds(config) + 3 * run_seconds(config, warm=True)
    assert study_seconds(study, 1) == pytest.approx(wanted)


def test_runs_of_one_process_start_once():
    study = study_of({"discount": [0.9, 0.95]}, runs_per_process=4)
    config = next(iter(study.configs.values()))
    wanted = start_seconds(config) + 4 * work_seconds(config)
    assert study_seconds(study, 1) == pytest.approx(wanted)
    assert study_seconds(study, 4) == pytest.approx(wanted)


def test_totals_are_sums_and_peaks():
    study = study_of({"depth": [4, 64]})
    data = forecast(study, Path("somewhere"), 2)
    runs = data["runs"]
    assert [run["run_id"] for run in runs] == list(study.configs)
    assert data["total_updates"] == sum(config.total_updates for config in study.configs.values())
    assert data["predicted_run_hours"] == pytest.approx(math.fsum(r["predicted_hours"] for r in runs))
    assert data["predicted_peak_memory_bytes"] == 2 * max(r["predicted_memory_bytes"] for r in runs)
    # two processes, each with two checkpoints and a new one
    assert data["predicted_checkpoint_bytes"] == 6 * max(r["checkpoint_bytes"] for r in runs)


def test_a_replay_over_the_limit_is_not_in_the_checkpoint():
    """Two seeds of a program share the limit: 16 envs x 200 rows x 65 bytes are 208 kB a seed."""
    both = {"depth": [4]}
    for limit, seeds, saved in ((1.0, 1, True), (0.0003, 1, True), (0.0003, 2, False), (0.0, 1, False)):
        study = study_of(both, seeds_per_program=seeds, checkpoint_replay_gb=limit)
        (first, _) = forecast(study, Path("somewhere"), 1)["runs"]
        assert first["checkpoint_holds_replay"] is saved
        config = study.configs[first["run_id"]]
        assert first["checkpoint_bytes"] == checkpoint_bytes(config) - (not saved) * replay_bytes(
            config
        )
