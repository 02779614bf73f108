"""Learning curves hold the stored rows and their IQMs."""

import numpy as np
import pytest
from simulated import saturating, write_study

from crlscale.analysis.learning_curves import load_learning_curves
from crlscale.score import load_scores
from crlscale.stats import iqm
from crlscale.store import read_run_metrics


def test_curves_are_the_stored_rows(results):
    folder = write_study(results, {"depth": [2, 8]}, saturating, seeds=4)
    found = load_learning_curves(folder, load_scores(folder))
    assert [curve.cell.levels["depth"] for curve in found.curves] == [2, 8]
    for curve in found.curves:
        for run_id, values in curve.seeds.items():
            rows = read_run_metrics(folder / "runs" / run_id)
            assert curve.env_steps.tolist() == [row["env_steps"] for row in rows]
            assert values.tolist() == [row["time_at_goal_all"] for row in rows]
        last = [values[-1] for values in curve.seeds.values()]
        assert curve.estimates[-1].value == pytest.approx(iqm(last))


def test_a_seed_that_diverged_leaves_the_mean_but_not_the_curve(results):
    folder = write_study(results, {"depth": [2]}, saturating, outcome={(2, 1): "diverged"})
    (curve,) = load_learning_curves(folder, load_scores(folder)).curves
    assert [found.seeds for found in curve.estimates] == [3, 3, 2]
    assert sum(np.isnan(values).sum() for values in curve.seeds.values()) == 1


def test_unfinished_cells_have_no_curve(results):
    outcome = {(8, seed): "stopped" for seed in range(3)}
    folder = write_study(results, {"depth": [2, 8]}, saturating, outcome=outcome)
    found = load_learning_curves(folder, load_scores(folder))
    assert [curve.cell.levels for curve in found.curves] == [{"depth": 2}]
