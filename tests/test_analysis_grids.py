"""Grids, saturation, laws, fronts and the surface: arithmetic by hand, error rates by simulation."""

import numpy as np
import pytest
from simulated import flat, write_study

from crlscale.analysis.batch import batch_by_depth
from crlscale.analysis.costs import FLOPS, PARAMETERS
from crlscale.analysis.exchange import exchange
from crlscale.analysis.frontier import front
from crlscale.analysis.saturation import saturation
from crlscale.analysis.scaling_laws import fit_laws, regress
from crlscale.analysis.surface import surfaces
from crlscale.analysis.two_way import grids, interaction_p, slope_weights, two_way
from crlscale.errors import CrlscaleError
from crlscale.score import load_scores

PLACES = [(i, j) for i in range(3) for j in range(3)]


def rng():
    return np.random.default_rng(0)


def linear(config, noise):
    return float(5 + 2 * np.log2(config.depth) + 3 * np.log2(config.width / 16) + noise.normal(0, 0.01))


# --- two axes --------------------------------------------------------------------------------
def test_slopes_by_hand():
    assert slope_weights(np.array([1.0, 2.0, 3.0])) == pytest.approx([-0.5, 0, 0.5])
    assert slope_weights(np.array([2.0, 4.0])) == pytest.approx([-0.5, 0.5])


def test_interaction_is_seen_where_it_is_and_seldom_where_it_is_not():
    draw = rng()
    additive = [
        interaction_p(PLACES, [i + j + draw.normal(size=3) for i, j in PLACES], draw, 200)
        for _ in range(200)
    ]
    assert 0 < np.mean(np.array(additive) <= 0.05) <= 0.08
    together = [
        interaction_p(PLACES, [1.5 * i * j + draw.normal(size=3) for i, j in PLACES], draw, 200)
        for _ in range(40)
    ]
    assert np.mean(np.array(together) <= 0.05) > 0.8


def test_unequal_spread_is_no_interaction():
    """Effects that only add, the spread grows 4-fold with the rows: a permutation of residuals says
    p <= 0.05 in more than 8 of 100 such studies."""
    draw = rng()
    places = [(i, j) for i in range(3) for j in range(5)]
    found = [
        interaction_p(places, [i + j + 2.0**i * draw.normal(size=5) for i, j in places], draw, 200)
        for _ in range(600)
    ]
    assert 0.02 <= np.mean(np.array(found) <= 0.05) <= 0.065


def test_scores_without_noise_add_or_do_not():
    exact = [np.full(3, 0.1 * i + 0.7 * j) for i, j in PLACES]
    assert interaction_p(PLACES, exact, rng()) == 1.0
    assert (
        interaction_p(
            PLACES, [cell + (i == j) for cell, (i, j) in zip(exact, PLACES, strict=True)], rng()
        )
        < 0.001
    )


def test_a_lone_seed_has_noise_too():
    """A cell far from additive effects by one seed alone is not taken for an interaction."""
    cells = [i + j + 0.1 * rng().normal(size=3) for i, j in PLACES]
    cells[4] = cells[4][:1] + 3
    several = [*cells[:4], cells[4] + np.array([-0.1, 0.0, 0.1]), *cells[5:]]
    assert interaction_p(PLACES, several, rng()) < 0.01 < interaction_p(PLACES, cells, rng())


def test_interaction_needs_seeds_and_more_cells_than_effects():
    assert interaction_p(PLACES, [np.ones(1)] * 9, rng()) is None
    corner = [(0, 0), (0, 1), (1, 0)]
    assert interaction_p(corner, [np.array([1.0, 2.0])] * 3, rng()) is None


def test_a_grid_with_a_hole_has_no_average_effect(results):
    axes = {"depth": [2, 4], "batch_size": [32, 64]}
    outcome = {(2, 64, seed): "failed" for seed in range(3)}
    scores = load_scores(write_study(results, axes, flat, outcome=outcome))
    (found,) = batch_by_depth(scores, rng())
    assert found.grid.cells[0][1] is None and found.grid.interaction is None
    assert [slope.level for slope in found.grid.slopes] == [4] and list(found.critical) == [4]
    assert "No interaction" in found.sentence


def test_flat_grid_shows_no_interaction(results):
    scores = load_scores(write_study(results, {"depth": [2, 4], "batch_size": [32, 64]}, flat))
    (found,) = batch_by_depth(scores, rng())
    assert found.verdict == "not shown" and found.grid.interaction.low < 0 < found.grid.interaction.high


def test_one_level_of_an_axis_is_no_grid(results):
    outcome = {(depth, 64, seed): "planned" for depth in (2, 4) for seed in range(3)}
    folder = write_study(results, {"depth": [2, 4], "batch_size": [32, 64]}, flat, outcome=outcome)
    scores = load_scores(folder)
    ((fixed, cells),) = grids(scores, ("depth", "batch_size"))
    with pytest.raises(CrlscaleError, match="1 of batch_size; two of each"):
        two_way(folder.name, ("depth", "batch_size"), fixed, cells, rng())


# --- limits ------------------------------------------------------------------------------------
def test_the_gain_before_a_plateau_is_never_called_saturated(results):
    def score(config, noise):
        return min(config.depth, 16) + noise.normal(0, 0.2)

    scores = load_scores(write_study(results, {"depth": [2, 4, 8, 16, 32]}, score, seeds=5))
    found = saturation("depth", list(scores.cells), 2.0)
    assert (found.level, found.verdict, found.resumes) == (16, "saturates", None)
    tight = saturation("depth", list(scores.cells), 0.01)
    assert (tight.level, tight.verdict) == (None, "undecided") and "nor excluded" in tight.words
    rising = saturation("depth", list(scores.cells[:3]), 1.0)
    assert rising.verdict == "rising" and "no plateau up to the largest depth tried, 8" in rising.words


def test_growth_that_resumes_after_a_plateau_is_said(results):
    def score(config, noise):
        return (5 if config.depth < 32 else 25) + noise.normal(0, 0.3)

    scores = load_scores(write_study(results, {"depth": [4, 8, 16, 32, 64]}, score, seeds=5))
    found = saturation("depth", list(scores.cells), 3.0)
    assert (found.level, found.resumes, found.verdict) == (4, 32, "undecided")
    assert "rise again at 32" in found.words


def test_laws_find_their_own_numbers():
    levels = 2.0 ** np.arange(1, 7)
    truths = {
        "power": 3 * levels**0.5,
        "logarithm": 4 + 2 * np.log2(levels),
        "saturating": 20 - 16 / levels,
    }
    for name, means in truths.items():
        cells = [np.array([mean - 1e-3, mean + 1e-3]) for mean in means]
        best = fit_laws(levels, cells, 1000.0, rng())[0]
        assert best.name == name and not best.misses
        assert best.curve == pytest.approx(means, abs=0.02)
    constant, factor, member, left = regress("logarithm", levels, np.ones(6), truths["logarithm"][None])
    assert (constant[0], factor[0], member[0]) == pytest.approx((4, 2, 0))
    assert left[0] == pytest.approx(0, abs=1e-9)


def test_a_law_that_misses_says_so():
    levels = 2.0 ** np.arange(1, 7)
    cells = [np.array([m - 0.3, m, m + 0.3]) for m in (1, 1, 1, 20, 20, 20)]
    laws = {law.name: law for law in fit_laws(levels, cells, 50.0, rng())}
    assert all("depart" in law.misses for law in laws.values())
    assert laws["power"].predictions[0].high <= 50.0


# --- costs ---------------------------------------------------------------------------------------
def test_front_by_hand(results):
    values = {2: 5.0, 4: 9.0, 8: 7.0, 16: 12.0}

    def score(config, noise):
        return values[config.depth] + noise.normal(0, 0.01)

    scores = load_scores(write_study(results, {"depth": [2, 4, 8, 16]}, score))
    found = front(PARAMETERS, list(scores.cells), rng())
    assert [point.cell.levels["depth"] for point in found.on_front] == [2, 4, 16]
    assert [point.share for point in found.points] == [1, 1, 0, 1]
    last = found.best[-1]
    assert last.cell.levels == {"depth": 16} and last.second.levels == {"depth": 4} and last.decided
    assert found.best[0].second is None


def test_one_doubling_of_depth_in_doublings_of_width(results):
    depths = load_scores(write_study(results, {"depth": [2, 4, 8]}, linear, settings={"width": 16}))
    widths = load_scores(write_study(results, {"width": [16, 32, 64]}, linear, settings={"depth": 2}))
    found = exchange(depths.cells, widths.cells)
    assert found.rate.value == pytest.approx(2 / 3, abs=0.02)
    assert found.rate.low < found.rate.value < found.rate.high
    assert "one doubling of depth = 0.67 doublings of width" in found.sentence


def test_surface_of_a_plane(results):
    scores = load_scores(write_study(results, {"depth": [2, 4, 8], "width": [16, 32, 64]}, linear))
    (found,) = surfaces(scores, rng())
    slopes = {d.axis: d.slope.value for d in found.directions}
    rise = 0.875  # scores are means of a rise
    assert slopes == pytest.approx({"depth": 2 * rise, "width": 3 * rise}, abs=0.1)
    for direction in found.directions:
        more = found.best.config.model_copy(
            update={direction.axis: 2 * found.best.levels[direction.axis]}
        )
        assert direction.factor > 1.5 and getattr(more, direction.axis) > 0
        assert direction.per_doubling.value == pytest.approx(
            direction.slope.value / np.log2(direction.factor)
        )
    assert {found.cost for found in found.fronts} >= {PARAMETERS.name, FLOPS.name}


def test_too_few_cells_are_no_surface(results):
    outcome = {(4, 32, seed): "planned" for seed in range(3)}
    folder = write_study(results, {"depth": [2, 4], "width": [16, 32]}, flat, outcome=outcome)
    with pytest.raises(CrlscaleError, match="too few for a surface"):
        surfaces(load_scores(folder), rng())
