"""Losses and norms over updates: what is read, what became unstable, and what the figure shows of it."""

import numpy as np
import pytest
from simulated import flat, write_study
from test_figures_scaling import assert_figure, find

from crlscale.analysis.training import training
from crlscale.errors import CrlscaleError
from crlscale.report.finding import Loaded
from crlscale.report.kinds import KINDS
from crlscale.score import load_scores
from crlscale.store import read_metrics, read_run_metrics, write_metrics

NORMS = ("actor_gradient_norm", "state_action_gradient_norm", "goal_gradient_norm")
RATIOS = ("actor_update_ratio", "state_action_update_ratio", "goal_update_ratio")


def study(results, measure, depths=(4, 8), seeds=3, **plan):
    """A study whose runs measured `measure(config, index)` at evaluation `index`, nothing before training."""
    folder = write_study(results, {"depth": list(depths)}, flat, seeds=seeds, **plan)
    for cell in load_scores(folder).cells:
        for run in cell.runs:
            rows = read_run_metrics(folder / "runs" / run.run_id)
            config = cell.config.model_copy(update={"seed": run.seed})
            for index, row in enumerate(rows[1:], start=1):
                row.update(measure(config, index))
            write_metrics(folder / "runs" / run.run_id, rows, {"run_id": run.run_id})
    return folder


def sound(config, index):
    """A loss of the seed and the evaluation; norms that rise with depth."""
    losses = {
        "critic_loss": 1.0 + index + config.seed,
        "actor_loss": -2.0,
        "entropy": 3.0,
        "alpha": 0.5,
    }
    return {**losses, **dict.fromkeys(NORMS, float(config.depth)), **dict.fromkeys(RATIOS, 0.001)}


def broken(config, index):
    """At depth 8 the losses explode and seed 1 says so: first by its actor, then, later, that the entropy
    had been low before."""
    found = sound(config, index)
    if config.depth == 8:
        found |= {"critic_loss": 10.0**index, "actor_loss": -(100.0**index), "entropy": -60.0}
        if config.seed == 1:
            later = {"instability_onset": 3, "instability_kind": "entropy"}
            found |= later if index > 1 else {"instability_onset": 5, "instability_kind": "actor_loss"}
    return found


def texts_of(figure):
    return " ".join(" ".join(text.get_text().split()) for text in figure.texts)


def updates_of(folder, depth):
    metrics = read_metrics(folder)
    steps = metrics[(metrics["depth"] == depth) & (metrics["seed"] == 0)]["gradient_steps"]
    return steps[steps > 0].tolist()


def test_traces_are_medians_over_seeds(results):
    folder = study(results, sound)
    finding = find(folder, "training")
    result = finding.pictures[0].result
    assert result.rows == (("critic_loss", "actor_loss", "entropy"), NORMS, RATIOS)
    four, eight = result.of("critic_loss")
    assert four.updates.tolist() == updates_of(folder, 4)
    assert four.median.tolist() == [index + 2.0 for index in range(1, len(four.updates) + 1)]
    assert [values[0] for values in four.seeds.values()] == [2.0, 3.0, 4.0]
    assert result.of("goal_gradient_norm")[1].cell is eight.cell
    assert set(result.of("goal_gradient_norm")[1].median) == {8.0}
    assert result.target_entropies == (-4.0,)  # half a nat for each of eight joints
    assert finding.sentences == ("None of 6 runs became unstable by a rule.",)
    assert finding.tables[0][2][0][2:] == ["3", "-2", "3", "4", "0.001", "0/3"]
    assert len(finding.records) == 2 * 9


def test_what_became_unstable_is_told_once_a_run_as_its_last_row_knows_it(results):
    finding = find(study(results, broken), "training")
    result = finding.pictures[0].result
    (onset,) = result.onsets
    assert (onset.update, onset.kind, onset.cell.levels) == (3, "entropy", {"depth": 8})
    assert finding.sentences == (
        "Unstable by a rule: 1 of 3 runs at depth 8 (entropy, from update 3 on); 5 of the runs stayed"
        " sound.",
    )
    assert [row[-1] for row in finding.tables[0][2]] == ["0/3", "0/3", "1/3", "1/3"]
    assert finding.records[-1] == {
        "depth": 8, "run_id": onset.run_id, "onset": 3, "kind": "entropy",
    }  # fmt: skip


def test_the_figure_shows_the_traces_and_the_onset(results):
    finding = find(study(results, broken), "training")
    result, figure = finding.pictures[0].result, assert_figure(finding)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert len(panels) == 9
    loss = result.of("critic_loss")[1]
    assert loss.median.tolist() in [line.get_ydata().tolist() for line in panels["critic loss"].lines]
    # values that differ by decades, some of them negative: the logarithm of their magnitudes
    actor = panels["magnitude of actor loss"]
    assert actor.get_yscale() == "log" and panels["entropy [nat]"].get_yscale() == "linear"
    assert (-result.of("actor_loss")[1].median).tolist() in [
        line.get_ydata().tolist() for line in actor.lines
    ]
    gradients = [panels[f"{name}: gradient norm"] for name in ("actor", "state action", "goal")]
    assert len({axes.get_ylim() for axes in gradients}) == 1
    crosses = {title: [line for line in axes.lines if line.get_marker() == "x"] for title, axes in panels.items()}  # fmt: skip
    assert [title for title, found in crosses.items() if found] == ["entropy [nat]"]
    (cross,) = crosses["entropy [nat]"]
    assert (cross.get_xdata().tolist(), cross.get_ydata().tolist()) == ([3], [-60.0])
    assert all(axes.get_xlim()[0] < 0 for axes in figure.axes)  # there is room for a cross at update 0
    assert cross.get_markeredgecolor() == cross.get_color()  # or the cross of a report has no colour
    assert cross.told == [f"unstable from update 3 on (entropy); run {result.onsets[0].run_id}"]
    assert "target entropy -4 nat" in texts_of(figure) and "Cross: first update" in texts_of(figure)


def test_a_loss_that_is_not_finite_leaves_the_medians_to_the_others_and_is_marked_at_the_last_value(
    results,
):
    def measure(config, index):
        found = sound(config, index)
        if config.seed == 2 and index > 1:
            told = {"instability_onset": 4, "instability_kind": "nonfinite"}
            found |= {"critic_loss": float("nan"), **told}
        return found

    finding = find(study(results, measure), "training")
    trace = finding.pictures[0].result.of("critic_loss")[0]
    assert trace.median.tolist() == [3.0] + [index + 1.5 for index in range(2, len(trace.median) + 1)]
    loss = finding.pictures[0].figure().axes[0]
    crosses = [line for line in loss.lines if line.get_marker() == "x"]
    assert [cross.get_ydata().tolist() for cross in crosses] == 2 * [[4.0]]


def test_runs_from_before_the_rules_say_that_nothing_was_looked_for(results):
    old = study(results, lambda config, index: {"critic_loss": 1.0, "actor_gradient_norm": 2.0})
    finding = find(old, "training")
    result = finding.pictures[0].result
    assert result.rows == (("critic_loss",), ("actor_gradient_norm",))
    assert result.watched == (0, 0) and result.target_entropies == ()
    assert "did not look for instability" in finding.sentences[0]
    assert finding.tables[0][2][0][2:] == ["1", "-", "-", "2", "-", "-"]
    assert "Instability was not looked for" in texts_of(assert_figure(finding))


def test_networks_of_several_methods_keep_their_columns(results):
    def measure(config, index):
        critic = "critic" if config.depth == 4 else "goal"
        return {"actor_loss": 1.0, f"{critic}_gradient_norm": 1.0, "survival_update_ratio": 0.1}

    finding = find(study(results, measure), "training")
    rows = finding.pictures[0].result.rows
    assert rows[1:] == (
        ("goal_gradient_norm", "critic_gradient_norm", None),
        (None, None, "survival_update_ratio"),
    )
    titles = [axes.get_title(loc="left") for axes in assert_figure(finding).axes]
    assert titles[-1] == "survival: update ratio" and len(titles) == 4


def test_seeds_of_many_cells_are_left_out(results):
    depths = [1, 2, 4, 8, 12, 16, 20]
    finding = find(study(results, sound, depths=depths, seeds=2), "training")
    figure = finding.pictures[0].figure()
    assert len(figure.axes[0].lines) == len(depths)
    assert "no seeds: 7 cells would hide them" in texts_of(figure)


def test_a_study_without_losses_has_no_such_figure(results):
    folder = write_study(results, {"depth": [4, 8]}, flat)
    loaded = Loaded(folder, load_scores(folder))
    assert not KINDS["training"].applies(loaded)
    with pytest.raises(CrlscaleError, match="has no losses yet"):
        training(loaded.scores, loaded.metrics)
    assert np.isnan(loaded.metrics["critic_loss"].to_numpy(float)).all()
