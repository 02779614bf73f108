"""Figures of the analyses of scale, of costs, profiles and goals show the numbers of the typed result."""

import numpy as np
import pytest
from simulated import flat, stepping, write_study
from test_figures import assert_texts_apart, caption_of, drawn

from crlscale.analysis.block_norms import WHEN, _median
from crlscale.errors import CrlscaleError
from crlscale.figures import style
from crlscale.report.finding import Loaded
from crlscale.report.interactive import panels, recolouring
from crlscale.report.kinds import KINDS
from crlscale.report.legend import legend
from crlscale.score import load_scores
from crlscale.store import blocks_table, write_blocks, write_goals


def grow(config, rng):
    gain = np.log2(config.actor_layers) + 2 * np.log2(config.critic_layers) + np.log2(config.width)
    return float(np.clip(gain + np.log2(config.batch_size) / 2 + rng.normal(0, 1), 0, 50))


def find(folder, kind):
    loaded = Loaded(folder, load_scores(folder))
    assert KINDS[kind].applies(loaded)
    return KINDS[kind].find(loaded)


def assert_figure(finding):
    """Both themes draw the same texts apart, a report's plots have the same points, and n, budget and
    the study stand in the caption. Returns the light figure of the last picture."""
    picture = finding.pictures[-1]
    light, dark = picture.figure(), picture.figure("dark")
    assert light.get_facecolor() != dark.get_facecolor()
    plots = panels(light, "f")
    assert plots == panels(picture.figure(), "f")
    colours = recolouring(plots, panels(dark, "f"))
    assert colours[style.PALETTES["light"].ink] == style.PALETTES["dark"].ink
    shown = [
        told
        for plot in plots
        for ref in plot.item["doc"]["roots"][0]["attributes"]["renderers"]
        for told in dict(ref["attributes"]["data_source"]["attributes"]["data"]["entries"]).get(
            "told", []
        )
    ]
    told = [
        t
        for axes in light.axes
        for a in (*axes.lines, *axes.collections)
        for t in getattr(a, "told", [])
    ]
    assert sorted(shown) == sorted(t for t in told if t)
    words = " ".join(" ".join(text.get_text().split()) for text in light.texts)
    for part in ("seed", "env steps and", "updates a run", "tudy "):
        assert part in words
    if light._suptitle is None:
        assert_texts_apart(light)
    return light


GRIDS = {
    "batch-by-depth": {"depth": [4, 32], "batch_size": [64, 128, 256]},
    "actor-critic": {"actor_depth": [4, 8], "critic_depth": [4, 8]},
}


@pytest.mark.parametrize("kind", GRIDS)
def test_heat_map_has_every_iqm_and_interval_and_the_lines_every_seed(results, kind):
    finding = find(write_study(results, GRIDS[kind], grow), kind)
    grid = finding.pictures[0].result.grid
    heat, lines = assert_figure(finding).axes
    texts = [text.get_text() for text in heat.texts]
    for cell in grid.flat:
        assert f"{cell.estimate.value:.1f}" in texts
        assert f"{cell.estimate.low:.1f} to {cell.estimate.high:.1f}" in texts
    (mesh,) = heat.collections
    assert mesh.get_array().ravel().tolist() == [cell.estimate.value for cell in grid.flat]
    assert heat.get_xlabel() == style.level_label(grid.across)
    assert heat.get_ylabel() == f"{grid.down.replace('_', ' ')} [Dense layers]"
    for level, row in zip(grid.levels[0], grid.cells, strict=True):
        _, y = drawn(lines.lines, f"{grid.down.replace('_', ' ')} {level}")
        assert y.tolist() == [cell.estimate.value for cell in row]
    seeds = [y for line in lines.lines if line.get_marker() == "o" for y in line.get_ydata()]
    assert {score for cell in grid.flat for score in cell.scores} <= set(seeds)


def test_limits_show_law_prediction_and_what_diverged(results):
    axes = {"depth": [4, 8, 16, 32]}
    finding = find(write_study(results, axes, grow, outcome={(16, 1): "diverged"}), "limits")
    result = finding.pictures[0].result
    (panel,) = assert_figure(finding).axes
    x, y = drawn(panel.lines, "prediction, 95 % interval")
    ahead = result.law.predictions
    assert (x.tolist(), y.tolist()) == ([p.level for p in ahead], [p.value for p in ahead])
    assert drawn(panel.lines, "runs diverged here")[0].tolist() == [16]
    _, y = drawn(panel.lines, "IQM, 95 % interval, seeds")
    assert y.tolist() == [cell.estimate.value for cell in result.cells]
    assert [label.get_text() for label in panel.get_xticklabels()] == [
        "4",
        "8",
        "16",
        "32",
        "64",
        "128",
    ]


def test_frontier_has_every_cell_and_names_the_best(results):
    finding = find(write_study(results, {"depth": [4, 8], "width": [16, 32]}, grow), "surface")
    result = finding.pictures[0].result
    panels_ = assert_figure(finding).axes
    shown = [
        front for front in result.fronts if front.cost in ("parameters", "training_flops", "hours")
    ]
    for axes, front in zip(panels_, shown, strict=True):
        best = drawn(axes.lines, "best for its cost")
        assert best[0].tolist() == [point.cost for point in front.on_front]
        assert best[1].tolist() == [point.cell.estimate.value for point in front.on_front]
        rest = drawn(axes.lines, "cell, 95 % interval, seeds")[0].tolist()
        assert sorted([*rest, *best[0]]) == sorted(point.cost for point in front.points)
        last = front.on_front[-1]
        words = f"d{last.cell.levels['depth']} w{last.cell.levels['width']}"
        assert any(words in text.get_text() for text in axes.texts)
    assert panels_[0].get_ylabel() == "time at goal [steps of 50]"


def test_published_means_stand_beside_the_study_and_the_protocol_in_the_caption(results):
    settings = {"env": "ant_u4_maze", "goal_set": "all", "width": 64}
    finding = find(write_study(results, {"depth": [4, 64]}, flat, settings=settings), "paper")
    result = finding.pictures[0].result
    figure = assert_figure(finding)
    (axes,) = figure.axes
    for source in {beside.row.source for beside in result.beside}:
        _, y = drawn(axes.lines, f"{source}, mean, SE")
        assert y.tolist() == [b.row.time_at_goal for b in result.beside if b.row.source == source]
    assert "Not pooled, the protocols differ: goals all here, far there" in caption_of(figure)


def test_costs_are_the_medians_of_the_runs_and_what_was_not_measured_is_named(results):
    finding = find(write_study(results, {"depth": [2, 8]}, flat, outcome={(8, 0): "diverged"}), "cost")
    result = finding.pictures[0].result
    hours, flops = assert_figure(finding).axes
    medians = next(line for line in hours.lines if line.get_linestyle() != "None")
    assert medians.get_ydata().tolist() == [cell.median("hours") for cell in result.cells]
    assert [len(cell.runs) for cell in result.cells] == [3, 2]
    assert flops.lines[0].get_ydata().tolist() == [cell.flops for cell in result.cells]
    assert hours.get_ylabel() == "training time of a run [hours]"
    assert finding.records[0]["memory_bytes"] is None
    words = " ".join(text.get_text() for text in finding.pictures[0].figure().texts)
    assert "Not measured: peak memory of the process" in " ".join(words.split())


def test_profiles_by_hand(results):
    scores = {2: [1, 2, 3], 8: [3, 5, 5]}
    run_mean = 0.875  # of a simulated run's two evaluations, by its last one
    folder = write_study(results, {"depth": [2, 8]}, lambda c, rng: scores[c.depth][c.seed] / run_mean)
    finding = find(folder, "profiles")
    result = finding.pictures[0].result
    assert result.thresholds.tolist() == pytest.approx([0, 1, 2, 3, 5])
    shares = [profile.shares.tolist() for profile in result.profiles]
    assert shares == [[1, 1, 2 / 3, 1 / 3, 0], [1, 1, 1, 1, 2 / 3]]
    none, one = result.profiles[0].high[-1], result.profiles[0].low[0]
    assert none == pytest.approx(1 - 0.025 ** (1 / 3)) and one == pytest.approx(0.025 ** (1 / 3))
    figure = assert_figure(finding)
    for level, wanted in zip(("2", "8"), shares, strict=True):
        assert drawn(figure.axes[0].lines, level)[1].tolist() == wanted
    title, keys = legend(figure)
    assert (title, [key.label for key in keys]) == ("depth", ["2", "8"])


def test_goal_maps_are_means_over_seeds_and_last_evaluations(results):
    folder = write_study(
        results,
        {"depth": [2, 8]},
        stepping,
        seeds=2,
        settings={"env": "point_u_maze", "goal_set": "all"},
    )
    scores = load_scores(folder)
    for cell in scores.cells:
        for run in cell.runs:
            cases = cell.config.task.maze.cases()
            rows = [
                _goal_row(run, case, index, at) for at in (0, 1, 2) for index, case in enumerate(cases)
            ]
            write_goals(folder / "runs" / run.run_id, rows, {"run_id": run.run_id})
    finding = find(folder, "goal-cells")
    result = finding.pictures[0].result
    case = cell.config.task.maze.cases()[1]
    assert result.maps[0].time_at_goal[case.row, case.column] == 1.5 + 10 + 0.5
    assert np.isfinite(result.maps[0].time_at_goal).sum() == len(cases)
    assert result.far.sum() == sum(case.far for case in cases)
    figure = assert_figure(finding)
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written.count("R") == 1 and "12" in written
    assert len(finding.records) == 2 * len(cases)


def _goal_row(run, case, index: int, evaluation: int) -> dict:
    """Time at goal: the evaluation, ten times the index of the goal, and the seed."""
    return {
        "run_id": run.run_id, "evaluation": evaluation, "env_steps": evaluation, "goal_cell": index,
        "row": case.row, "column": case.column, "far": case.far, "start_row": None,
        "start_column": None, "apart": case.apart, "episodes": 2,
        "time_at_goal": evaluation + 10.0 * index + run.seed, "success_rate": 0.5, "first_hit": 1.0,
        "survival": 50.0,
    }  # fmt: skip


def test_block_norms_are_medians_over_seeds(results):
    """A block's gradient: the evaluation, ten times its index, and the seed; a study whose runs did not
    measure blocks has no such figure, and is told how to get one."""
    folder = write_study(results, {"depth": [8, 16]}, stepping, seeds=3)
    scores = load_scores(folder)
    assert not KINDS["blocks"].applies(Loaded(folder, scores))
    with pytest.raises(CrlscaleError, match="no rows by block"):
        KINDS["blocks"].find(Loaded(folder, scores))
    for cell in scores.cells:
        for run in cell.runs:
            count = cell.levels["depth"] // 4
            rows = [
                _block_row(run, network, block, evaluation)
                for evaluation in (0, 1, 2)
                for network in ("actor", "goal")
                for block in range(count)
            ]
            write_blocks(folder / "runs" / run.run_id, [blocks_table(rows)], {"run_id": run.run_id})
    finding = find(folder, "blocks")
    result = finding.pictures[0].result
    assert result.networks == ("actor", "goal") and len(result.lines) == 2 * 2 * 2
    (first, last), when = result.of("goal", "at the last evaluation"), result.of("goal", WHEN[0])
    assert first.norms["gradient_norm"].tolist() == [4.0, 14.0]
    assert last.norms["gradient_norm"].tolist() == [4.0, 14.0, 24.0, 34.0]
    assert when[0].norms["gradient_norm"].tolist() == [2.0, 12.0]
    assert [values.tolist() for values in first.seeds.values()] == [[3, 13], [4, 14], [5, 15]]
    assert "actor network at depth 16: 8.5 times" in finding.sentences[0]
    assert finding.tables[0][2][0] == ["8", "actor", "2", "7", "7", "4", "14"]
    assert len(finding.records) == 2 * 2 * (2 + 4)
    figure = assert_figure(finding)
    median = figure.axes[-1].lines[-1]
    assert median.get_ydata().tolist() == [4.0, 14.0, 24.0, 34.0]
    assert "depth 16, block 3: median 34" in median.told


def test_a_seed_that_diverged_leaves_the_medians_to_the_others():
    seeds = [np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([np.nan, np.inf])]
    assert _median(seeds).tolist() == [2.0, 3.0]
    assert np.isnan(_median(seeds[2:])).all()
    assert _median([np.array([]), np.array([5.0])]).tolist() == [5.0]  # one was not measured then
    assert _median([np.array([])]).tolist() == []


def _block_row(run, network: str, block: int, evaluation: int) -> dict:
    place = {"run_id": run.run_id, "evaluation": evaluation, "env_steps": evaluation}
    norms = dict.fromkeys(("branch_norm", "parameter_norm", "update_ratio"), 1.0)
    gradient = 1.0 + evaluation + 10.0 * block + run.seed
    return {
        **{**place, **norms, "gradient_steps": evaluation, "network": network, "block": block},
        **{"stream_norm": 7.0, "gradient_norm": gradient},
    }


@pytest.mark.parametrize(
    "axes", [{"depth": [4, 8, 16], "width": [16, 32], "batch_size": [64, 128]}, GRIDS["actor-critic"]]
)
def test_every_caption_says_what_became_of_diverged_runs(results, axes):
    key = (*(levels[0] for levels in axes.values()), 0)
    folder = write_study(results, axes, grow, outcome={key: "diverged"})
    loaded = Loaded(folder, load_scores(folder, diverged="drop"))
    kinds = [kind for kind in KINDS.values() if kind.applies(loaded)]
    captions = []
    for kind in kinds:
        for theme in style.THEMES:
            for picture in kind.find(loaded).pictures:
                figure = picture.figure(theme)
                texts = [text for text in figure.texts if text is not figure._suptitle]
                captions.append(" ".join(" ".join(text.get_text().split()) for text in texts))
    assert len(captions) >= 2 * len(kinds) >= 8
    assert all(caption.endswith("Diverged runs are left out.") for caption in captions)
