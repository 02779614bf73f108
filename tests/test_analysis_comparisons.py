"""Two studies, methods at equal budgets, published numbers, learning in numbers, tasks by observation size."""

import numpy as np
import pytest
from reading_cli import run, run_json
from simulated import flat, saturating, write_study

from crlscale.analysis.curve_summary import first_crossing, summarise
from crlscale.analysis.learning_curves import load_learning_curves
from crlscale.analysis.methods import compare_methods
from crlscale.analysis.published import against_paper, published_rows, read_table
from crlscale.errors import CrlscaleError
from crlscale.score import load_scores
from crlscale.store import read_metrics, read_run_metrics, write_metrics

LONG = {"evaluations": 8, "env_steps": 8000}


def raised(config, rng):
    return saturating(config, rng) * 0.8


# --- two studies ---------------------------------------------------------------------------
def test_two_studies_by_cell_and_together(results, capsys):
    one = write_study(results, {"depth": [2, 4, 8]}, saturating, name="one")
    other = write_study(
        results, {"depth": [4, 8, 16]}, raised, name="other", settings={"discount": 0.9},
        outcome={(4, 0): "failed"},
    )  # fmt: skip
    (row,) = run_json(capsys, "compare", "studies", one.name, other.name)["rows"]
    assert [pair["levels"] for pair in row["pairs"]] == [{"depth": 4}, {"depth": 8}]
    assert row["differs"] == {"discount": [0.95, 0.9]}
    assert row["verdict"] == "one" and row["difference"]["low"] > 0
    assert row["improvement"]["value"] > 0.9 and row["improvement"]["high"] <= 1
    a = load_scores(one).cells[2].estimate.value - load_scores(other).cells[1].estimate.value
    assert row["pairs"][1]["difference"]["value"] == pytest.approx(a)
    code, out, _ = run(capsys, "compare", "studies", "one", "other")
    words = " ".join(out.split())
    assert code == 0 and "one is better. They differ in discount (0.95 and 0.9)." in words
    assert "1 not complete" in words


def test_studies_that_cannot_be_compared_are_refused(results, capsys):
    write_study(results, {"depth": [2, 4]}, flat, seeds=1, name="one")
    write_study(results, {"depth": [2, 4]}, flat, seeds=1, name="task", settings={"env": "chain_4"})
    write_study(results, {"depth": [8]}, flat, seeds=1, name="apart")
    for other, words in (
        ("task", "different tasks"),
        ("apart", "share no cell"),
        ("one", "named twice"),
    ):
        code, out, err = run(capsys, "compare", "studies", "one", other)
        assert (code, out) == (2, "") and words in err


# --- methods -------------------------------------------------------------------------------
def test_levels_at_equal_budgets(results, capsys):
    def score(config, rng):
        return float(20 + 5 * (config.width == 64) + rng.normal(0, 0.3))

    write_study(results, {"width": [16, 64], "depth": [2, 4]}, score, settings=LONG)
    (row,) = run_json(capsys, "compare", "methods", "--axis", "width")["rows"]
    found = {at["kind"]: at for at in row["budgets"]}
    assert set(found) == {"env_steps", "gradient_steps", "training_flops", "hours"}
    assert found["env_steps"]["compared"][0]["difference"]["value"] == pytest.approx(4.5, abs=0.6)
    assert (
        found["hours"]["spent"]["64"][1] < found["hours"]["compared"][0]["pairs"][1]["first"]["hours"]
    )
    assert found["hours"]["too_dear"] == []
    assert "Against 16, by 95 % intervals one by one: at equal env steps better 64;" in row["sentence"]
    # the mean of a rise; width 64 costs four times the hours of width 16, whose end it is judged at: a rise not yet over
    assert found["hours"]["compared"][0]["difference"]["value"] < 0
    code, out, _ = run(capsys, "compare", "methods", "--axis", "width")
    assert code == 0 and "Minus 16 at equal hours" in out
    code, _, err = run(capsys, "compare", "methods")
    assert code == 2 and "agent" in err


def test_each_pair_of_cells_has_its_own_budget(results):
    """Invented hours grow with depth and width: a pair at depth 4 is judged at twice the hours of one at
    depth 2, and a third, cheap level does not lower the budget of the others."""
    write_study(results, {"width": [32, 64, 16], "depth": [2, 4]}, flat, settings=LONG)
    (folder,) = results.iterdir()
    metrics = read_metrics(folder)
    found = compare_methods(load_scores(folder), metrics, "width")
    hours = next(at for at in found.budgets if at.kind == "hours").spent
    last = metrics.groupby(["width", "depth"])["train_seconds"].max() / 3600
    assert hours["64"] == pytest.approx((last[32, 2], last[32, 4]))
    assert hours["16"] == pytest.approx((last[16, 2], last[16, 4]))


# --- published numbers ---------------------------------------------------------------------
def test_every_published_line_has_source_and_protocol():
    tables = [
        "baseline_hours",
        "depth_table",
        "depth_vs_width_hours",
        "hyperspherical_steps",
        "rerun_table",
    ]
    for name in [*tables, "wall_clock_1024", "wall_clock_hours"]:
        lines = read_table(name)
        assert len(lines) >= 4 and all(line["source"] and line["protocol"] for line in lines)
    assert len(published_rows()) == 90
    assert {row.protocol.goals for row in published_rows()} == {"all", "far"}


ANT = {"env": "ant_u4_maze", "num_envs": 64, "unroll_length": 50}


def test_other_protocols_stand_beside_and_are_not_pooled(results, capsys):
    def score(config, rng):
        return 100 + rng.normal(0, 3)

    folder = write_study(results, {"depth": [4, 64]}, score, settings={**ANT, "goal_set": "all"})
    (row,) = run_json(capsys, "compare", "paper")["rows"]
    assert {b["row"]["source"] for b in row["beside"]} == {"wang2025", "bohlinger2026"}
    assert all(b["difference"] is None for b in row["beside"])
    far = next(b for b in row["beside"] if b["row"]["source"] == "wang2025")
    assert far["differs"]["goals"] == ["all", "far"] and far["differs"]["reset"] == [
        "episode",
        "frozen",
    ]
    assert {"physics", "env_steps", "width", "batch"} <= far["differs"].keys()
    code, out, err = run(capsys, "compare", "paper", folder.name, "--pool")
    assert (code, out) == (2, "") and "not pooled" in err and "goals" in err
    code, out, _ = run(capsys, "compare", "paper")
    assert code == 0 and "What differs" in out and "bohlinger2026" in out


def test_the_same_protocol_has_a_difference(results):
    settings = {
        "env": "ant_u4_maze", "protocol": "legacy", "goal_set": "all", "width": 256, "batch_size": 512,
        "num_envs": 512, "unroll_length": 62, "env_steps": 100_000_000, "evaluations": 2,
        "episode_length": 1000,
    }  # fmt: skip
    folder = write_study(results, {"depth": [8]}, flat, settings=settings, seeds=2)
    scores = load_scores(folder)
    found = against_paper(scores, {"brax": "0.10.1"})
    (beside,) = [b for b in found.beside if b.row.source == "bohlinger2026"]
    assert set(beside.differs) == {"spread"}
    assert beside.difference == pytest.approx(scores.cells[0].estimate.value - 517)
    newer = against_paper(scores, {"brax": "0.14.2", "mujoco-mjx": "3.17.0"})
    assert newer.beside[0].differs["physics"] == ("brax 0.14.2, mjx 3.17.0", "brax 0.10.1")
    with pytest.raises(CrlscaleError, match="physics"):
        newer.require_pooled()


def test_a_task_that_nobody_published_says_so(results, capsys):
    write_study(results, {"depth": [2, 4]}, saturating)
    (row,) = run_json(capsys, "compare", "paper")["rows"]
    assert row["beside"] == [] and row["sentence"].startswith("No published table has chain_8")
    assert row["gains"]["humanoid"] == pytest.approx(649 / 12.6)


# --- learning curves in numbers --------------------------------------------------------------
def test_first_crossing_by_hand():
    x, y = np.array([0.0, 10.0, 20.0]), np.array([0.0, 4.0, 2.0])
    assert first_crossing(x, y, 3.0) == 7.5
    assert first_crossing(x, y, 0.0) == 0.0
    assert first_crossing(x, y, 4.1) is None


def test_area_thresholds_and_collapses(results, capsys):
    folder = write_study(results, {"depth": [4]}, flat, seeds=2, settings=LONG)
    (cell,) = load_scores(folder).cells
    shapes = ([0, 4, 8, 12, 16, 20, 20, 20, 20], [0, 10, 20, 20, 20, 6, 3, 3, 3])
    for ran, shape in zip(cell.runs, shapes, strict=True):
        path = folder / "runs" / ran.run_id
        rows = [
            {**row, "time_at_goal_all": float(value)}
            for row, value in zip(read_run_metrics(path), shape, strict=True)
        ]
        write_metrics(path, rows, {"run_id": ran.run_id})
    curves = load_learning_curves(folder, load_scores(folder))
    (curve,) = curves.curves
    assert curve.updates[-1] == cell.updates and curve.hours[-1] > 0
    (found,) = summarise(curves, (10.0, 30.0)).cells
    ten, thirty = found.thresholds
    gap = curve.env_steps[1] - curve.env_steps[0]
    assert ten.median == curve.env_steps[0] + (2.5 + 1.0) / 2 * gap
    assert (thirty.reached, thirty.runs, thirty.median, thirty.env_steps) == (0, 2, None, None)
    areas = [np.trapezoid(shape) / 8 for shape in shapes]
    assert found.area.value == pytest.approx(np.mean(areas))
    (collapse,) = found.collapses
    assert (collapse.run_id, collapse.end) == (cell.runs[1].run_id, 3.0)
    assert (collapse.peak, collapse.peak_env_steps) == (20.0, curve.env_steps[4])
    code, out, _ = run(capsys, "analyze", "learning-curves", "--threshold", "10")
    assert code == 0 and "1 runs collapsed late" in " ".join(out.split())


# --- tasks by observation size ---------------------------------------------------------------
def test_depth_pays_more_where_observations_are_larger(results, capsys):
    names = []
    for env in ("chain_4", "chain_8", "chain_12", "chain_16", "chain_32"):
        links = int(env.removeprefix("chain_"))

        def score(config, rng, links=links):
            gain = np.log2(config.depth) * links / 8 + np.log2(config.width / 16)
            return float(10 + gain + rng.normal(0, 0.1))

        for axes in ({"depth": [2, 4, 8]}, {"width": [16, 32, 64]}):
            settings = {"env": env, **({"width": 16} if "depth" in axes else {"depth": 2})}
            names.append(write_study(results, axes, score, settings=settings).name)
    (row,) = run_json(capsys, "compare", "observation-size", *names)["rows"]
    assert [point["observation_size"] for point in row["points"]] == [8, 16, 24, 32, 64]
    assert row["correlation"] == pytest.approx(1) and row["p_value"] == pytest.approx(2 / 120)
    assert "a trend (Spearman +1.00" in row["sentence"]
    code, out, err = run(capsys, "compare", "observation-size", *names[:3])
    assert (code, out) == (2, "") and "chain_8 has one" in err
    code, out, _ = run(capsys, "compare", "observation-size", *names[:4])
    assert code == 0 and "no trend is tested" in " ".join(out.split())
