"""Depth against width at equal cost, where the truth is known."""

import numpy as np
import pytest
from simulated import flat, saturating, write_study

from crlscale.analysis.width_vs_depth import compare_families
from crlscale.cost import actor_parameters, critic_parameters, update_flops
from crlscale.errors import CrlscaleError
from crlscale.score import load_scores

DEPTHS = {"depth": [2, 4, 8, 16]}
WIDTHS = {"width": [16, 32, 64]}


def deep_is_better(config, rng):
    return float(10 + 5 * np.log2(config.depth) + rng.normal(0, 0.5))


def compared(results, score, **how):
    depth = write_study(results, DEPTHS, score, **how)
    width = write_study(results, WIDTHS, score, **how)
    return compare_families(load_scores(depth), load_scores(width))


def test_costs_are_those_of_the_runs(results):
    found = compared(results, flat, seeds=2)
    parameters, flops, hours = found.comparisons
    for family in (found.depth, found.width):
        for index, cell in enumerate(family.cells):
            config = cell.config
            wanted = actor_parameters(config) + critic_parameters(config)
            assert parameters.costs[family.axis][index] == wanted
            wanted = update_flops(config) * config.total_updates
            assert flops.costs[family.axis][index] == pytest.approx(wanted)
            wanted = config.total_updates * config.depth * config.width / 100 / 3600
            assert hours.costs[family.axis][index] == pytest.approx(wanted)


def test_the_better_family_wins_where_both_can_be_bought(results):
    found = compared(results, deep_is_better, seeds=5)
    parameters = found.comparisons[0]
    assert parameters.verdict == "depth"
    assert parameters.confidence > 0.99
    assert "parameters depth was the better buy" in found.sentence
    low, high = parameters.overlap
    costs = parameters.costs
    assert low == max(min(costs["depth"]), min(costs["width"]))
    assert high == min(max(costs["depth"]), max(costs["width"]))


def test_no_difference_is_undecided(results):
    found = compared(results, lambda config, rng: float(20 + np.cos(config.seed)), seeds=5)
    assert {comparison.verdict for comparison in found.comparisons} == {"undecided"}
    for comparison in found.comparisons:
        assert comparison.difference.value == pytest.approx(0, abs=1e-9)
        assert comparison.confidence == pytest.approx(0.5, abs=1e-6)


def test_difference_is_the_area_between_the_curves(results):
    """Against a plain numerical integral of the two interpolated curves."""
    comparison = compared(results, saturating, seeds=3)
    for cost in comparison.comparisons:
        grid = np.linspace(*np.log(cost.overlap), 20_001)
        curves = []
        for family in (comparison.depth, comparison.width):
            values = [cell.estimate.value for cell in family.cells]
            curves.append(np.interp(grid, np.log(cost.costs[family.axis]), values))
        area = np.trapezoid(curves[0] - curves[1], grid) / (grid[-1] - grid[0])
        assert cost.difference.value == pytest.approx(area, abs=1e-3)


def test_no_overlap_is_said(results):
    depth = write_study(results, DEPTHS, flat, seeds=2, settings={"width": 16})
    width = write_study(results, {"width": [512, 1024]}, flat, seeds=2, settings={"depth": 4})
    found = compare_families(load_scores(depth), load_scores(width))
    assert found.comparisons[0].verdict == "no overlap"
    assert "no overlap to compare" in found.sentence


def test_one_seed_gives_a_difference_without_an_interval(results):
    first = compared(results, deep_is_better, seeds=1).comparisons[0]
    assert (first.verdict, first.difference.low, first.confidence) == ("undecided", None, None)
    assert "no interval: a cell with one seed" in first.clause


def test_a_grid_is_compared_with_itself_and_its_corner_counts_once(results):
    folder = write_study(results, {"depth": [4, 16], "width": [16, 64]}, saturating)
    found = compare_families(load_scores(folder), load_scores(folder))
    assert (found.depth.held, found.width.held) == ({"width": 16}, {"depth": 4})
    assert found.depth.cells[0].runs == found.width.cells[0].runs
    assert found.comparisons[0].difference.standard_error > 0


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"batch_size": 64}, "batch_size"),
        ({"env": "chain_4"}, "env"),
        ({"env_steps": 1600}, "env_steps"),
        ({"precision": "mixed"}, "precision"),
        ({"episode_length": 40}, "episode_length"),
    ],
)
def test_other_protocols_are_refused_by_name(results, settings, field):
    depth = write_study(results, DEPTHS, flat, seeds=1)
    width = write_study(results, WIDTHS, flat, seeds=1, settings=settings)
    with pytest.raises(CrlscaleError, match=f": {field} is .* in one and .* in the other"):
        compare_families(load_scores(depth), load_scores(width))


def test_other_threads_are_noted(results):
    from crlscale.study import Execution

    depth = write_study(results, DEPTHS, flat, seeds=1)
    width = write_study(results, WIDTHS, flat, seeds=1, execution=Execution(threads=2))
    found = compare_families(load_scores(depth), load_scores(width))
    assert found.note == "hours on 1 and on 2 threads"


def test_one_level_is_no_family(results):
    depth = write_study(results, {"depth": [4]}, flat, seeds=1)
    width = write_study(results, WIDTHS, flat, seeds=1)
    with pytest.raises(CrlscaleError, match="a score at 1 level"):
        compare_families(load_scores(depth), load_scores(width))
