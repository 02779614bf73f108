"""Figures show the numbers of the typed result, with units, and are the same bytes each time."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from simulated import flat, saturating, stepping, write_study

from crlscale.analysis.critical_depth import critical_depths
from crlscale.analysis.learning_curves import load_learning_curves
from crlscale.analysis.width_vs_depth import compare_families
from crlscale.figures import style
from crlscale.figures.critical_depth import draw_critical_depth
from crlscale.figures.learning_curves import draw_learning_curves
from crlscale.figures.width_vs_depth import draw_width_vs_depth
from crlscale.score import load_scores

DEPTHS = [2, 4, 8, 16, 32]


def critical(folder):
    (found,) = critical_depths(load_scores(folder), np.random.default_rng(0))
    return found


def drawn(artists, label):
    """x and y of the one line with this label."""
    (line,) = [line for line in artists if line.get_label() == label]
    return [np.asarray(part) for part in line.get_data()]


def caption_of(figure):
    return " ".join(figure.texts[0].get_text().split())


def assert_texts_apart(figure):
    """No two texts of the figure overlap, and none leaves it."""
    figure.draw_without_rendering()
    texts = [text for axes in figure.axes for text in [*axes.texts, axes.title, axes._left_title]]
    for axes in figure.axes:
        ticks = axes.xaxis.get_majorticklabels() + axes.yaxis.get_majorticklabels()
        low, high = sorted(axes.get_xlim())
        shown = [t for t in ticks[: len(axes.get_xticks())] if low <= t.get_position()[0] <= high]
        texts += [*shown, axes.xaxis.label, axes.yaxis.label]
        texts += axes.get_legend().get_texts() if axes.get_legend() else []
    texts += [text for legend in figure.legends for text in legend.get_texts()] + figure.texts
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text() and t.get_visible()]
    for (one, box), (other, another) in itertools.combinations(boxes, 2):
        assert not box.overlaps(another), (one, other)
    for text, box in boxes:
        inside = figure.bbox.padded(1)
        assert inside.x0 <= box.x0 and box.x1 <= inside.x1, text
        assert inside.y0 <= box.y0 and box.y1 <= inside.y1, text


# --- critical depth ------------------------------------------------------------------------
def test_critical_depth_shows_seeds_iqms_intervals_and_the_mark(results):
    found = critical(write_study(results, {"depth": DEPTHS}, stepping))
    (axes,) = draw_critical_depth(found).axes
    depths, values = drawn(axes.lines, "IQM, 95 % interval")
    assert depths.tolist() == DEPTHS
    assert values.tolist() == [cell.estimate.value for cell in found.cells]
    _, seeds = drawn(axes.lines, "seed")
    assert sorted(seeds) == sorted(score for cell in found.cells for score in cell.scores)
    bars = [line.get_ydata() for line in axes.lines if len(set(line.get_xdata())) == 1]
    wanted = [[cell.estimate.low, cell.estimate.high] for cell in found.cells]
    assert all(bar in [list(b) for b in bars] for bar in wanted)
    assert drawn(axes.lines, "critical depth")[0].tolist() == [8, 8]


def test_critical_depth_names_units_levels_seeds_interval_and_budget(results):
    found = critical(write_study(results, {"depth": DEPTHS}, stepping))
    figure = draw_critical_depth(found)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log" and axes.xaxis.get_transform().base == 2
    assert [label.get_text() for label in axes.get_xticklabels()] == [str(d) for d in DEPTHS]
    assert axes.get_xlabel() == "depth [Dense layers, log2 scale]"
    assert axes.get_ylabel() == "time at goal [steps of 50]"
    config = found.cells[0].config
    caption = caption_of(figure)
    assert caption.startswith("3 seeds a level. Bars: 95 % t interval of the IQM")
    assert "simulated coverage at 3 seeds" in caption and "the IQM is the mean" in caption
    budget = f"{config.total_env_steps:,} env steps and {config.total_updates:,} updates a run"
    assert budget in caption


def test_the_interval_of_the_critical_depth_is_a_band(results):
    found = replace(critical(write_study(results, {"depth": DEPTHS}, stepping)), low=4, high=16)
    (axes,) = draw_critical_depth(found).axes
    (band,) = axes.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == (found.low, found.high)


@pytest.mark.parametrize(
    ("depths", "score", "words"),
    [
        ([2, 4, 8], stepping, "critical depth 8, not bracketed"),
        (DEPTHS, flat, "no step: flat"),
        (DEPTHS, lambda config, rng: 5 * np.log2(config.depth) + rng.random(), "no step: gradual"),
    ],
)
def test_the_finding_is_the_title(results, depths, score, words):
    figure = draw_critical_depth(critical(write_study(results, {"depth": depths}, score)))
    assert words in figure.axes[0].get_title(loc="left")
    assert_texts_apart(figure)


def test_one_seed_is_drawn_without_interval_and_says_why(results):
    found = critical(write_study(results, {"depth": DEPTHS}, stepping, seeds=1))
    figure = draw_critical_depth(found)
    assert "no interval: one seed" in caption_of(figure).lower()
    assert drawn(figure.axes[0].lines, "seed")[1].tolist() == [c.scores[0] for c in found.cells]


def test_diverged_and_missing_runs_are_noted(results):
    outcome = {(8, 1): "diverged", (16, 0): "failed"}
    found = critical(write_study(results, {"depth": DEPTHS}, stepping, outcome=outcome))
    figure = draw_critical_depth(found)
    assert "Exceptions: depth 8: 1 diverged; depth 16: 1 failed." in caption_of(figure)
    (diverged,) = drawn(figure.axes[0].lines, "diverged seed")[1]
    assert diverged == found.cells[2].runs[1].score
    assert "2 to 3 seeds a level" in caption_of(figure)


# --- learning curves -----------------------------------------------------------------------
def test_learning_curves_are_the_result(results):
    folder = write_study(results, {"depth": DEPTHS}, saturating)
    found = load_learning_curves(folder, load_scores(folder))
    figure = draw_learning_curves(found)
    (axes,) = figure.axes
    lines = [(line.get_xdata(), line.get_ydata()) for line in axes.lines]
    for curve in found.curves:
        wanted = [curve.env_steps.tolist(), [e.value for e in curve.estimates]]
        assert wanted in [[list(x), list(y)] for x, y in lines]
        for values in curve.seeds.values():
            assert values.tolist() in [list(y) for _, y in lines]
    assert axes.get_xlabel() == "env steps [steps, all envs together]"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [str(depth) for depth in DEPTHS]
    assert_texts_apart(figure)


def test_the_lines_of_a_grid_differ(results):
    axes = {"depth": [2, 4, 8], "width": [16, 32], "batch_size": [32, 64]}
    folder = write_study(results, axes, saturating, seeds=1)
    figure = draw_learning_curves(load_learning_curves(folder, load_scores(folder)))
    looks = [
        (line.get_color(), line.get_linestyle(), line.get_marker())
        for line in figure.legends[0].get_lines()
    ]
    assert len(set(looks)) == len(looks) == 12
    assert_texts_apart(figure)


@pytest.mark.parametrize(("levels", "bands"), [(6, 6), (7, 0)])
def test_bands_that_would_hide_each_other_are_left_out(results, levels, bands):
    folder = write_study(results, {"depth": [2**i for i in range(1, levels + 1)]}, saturating)
    figure = draw_learning_curves(load_learning_curves(folder, load_scores(folder)))
    assert len(figure.axes[0].collections) == bands
    assert ("No bands" in caption_of(figure)) == (bands == 0)


# --- width against depth -------------------------------------------------------------------
def test_width_vs_depth_has_three_panels_of_the_result(results):
    depth = write_study(results, {"depth": DEPTHS}, saturating)
    width = write_study(results, {"width": [16, 32, 64]}, saturating)
    found = compare_families(load_scores(depth), load_scores(width))
    figure = draw_width_vs_depth(found)
    for axes, comparison in zip(figure.axes, found.comparisons, strict=True):
        for family in (found.depth, found.width):
            levels = [cell.levels[family.axis] for cell in family.cells]
            costs, values = drawn(axes.lines, f"{family.axis} {levels[0]} to {levels[-1]}")
            assert costs.tolist() == list(comparison.costs[family.axis])
            assert values.tolist() == [cell.estimate.value for cell in family.cells]
        assert f"{comparison.difference.value:+.1f} steps" in axes.get_title(loc="left")
        (band,) = axes.patches
        ends = (band.get_x(), band.get_x() + band.get_width())
        assert ends == pytest.approx(comparison.overlap)
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels[2] == "training time of a run [hours]"
    assert figure.axes[0].get_shared_y_axes().joined(*figure.axes[:2])
    assert_texts_apart(figure)


# --- files ---------------------------------------------------------------------------------
def test_the_same_result_gives_the_same_bytes(results, tmp_path):
    found = critical(write_study(results, {"depth": DEPTHS}, saturating))
    first = style.save(draw_critical_depth(found), tmp_path / "one", "figure")
    second = style.save(draw_critical_depth(found), tmp_path / "two", "figure")
    assert [path.name for path in first] == ["figure.png", "figure.svg"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    svg = first[1].read_text()
    assert "<dc:date>" not in svg and "</svg>" in svg
    assert first[0].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
