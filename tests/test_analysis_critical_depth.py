"""The critical depth of simulated studies whose truth is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import flat, saturating, stepping, write_study

from crlscale.analysis.critical_depth import critical_depths
from crlscale.analysis.find_step import find_step
from crlscale.analysis.step_models import Families
from crlscale.errors import CrlscaleError
from crlscale.score import load_scores

STEP = ("step", "sigmoid", "2 steps", "3 steps")
DOUBLINGS = np.arange(1.0, 7.0)


def cells(means, noise=1.0, seeds=5, seed=0):
    rng = np.random.default_rng(seed)
    return [mean + noise * rng.normal(size=seeds) for mean in means]


def find(means, **how):
    return find_step(DOUBLINGS[: len(means)], cells(means, **how), np.random.default_rng(0))


def found_in(folder):
    return critical_depths(load_scores(folder), np.random.default_rng(0))


# --- shapes ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("means", "shape", "level"),
    [
        ([0, 0, 0, 8, 8, 8], "step", 3),
        ([0, 0, 9, 9, 18, 18], "2 steps", 2),
        ([12, 23, 27, 28, 28], "sigmoid", 1),
        ([6, 10, 12, 10, 11], "step", 1),
        ([0, 2, 4, 6, 8, 10], "gradual", None),
        ([10, 8, 6, 4, 2, 0], "falling", None),
        ([10, 10, 10, 2, 2, 2], "falling", None),
        ([5, 5, 5, 5, 5, 5], "flat", None),
    ],
)
def test_shape_and_level(means, shape, level):
    found = find(means)
    assert (found.shape, found.level) == (shape, level)


def test_interval_holds_the_step_and_grows_with_the_noise():
    sharp, blurred = find([0, 0, 0, 5, 5, 5]), find([0, 0, 0, 5, 5, 5], noise=2.0, seeds=4, seed=0)
    assert sharp.interval == (3, 3)
    assert blurred.level is not None
    assert blurred.interval[0] <= 3 <= blurred.interval[1]
    assert blurred.interval[0] < blurred.interval[1]


def test_three_jumps_and_their_sizes(results):
    def score(config, rng):
        jumps = sum(10 * (config.depth >= at) for at in (8, 32, 128))
        return 5 + jumps + rng.normal(0, 0.5)

    folder = write_study(results, {"depth": [2, 4, 8, 16, 32, 64, 128, 256]}, score)
    (found,) = found_in(folder)
    assert (found.shape, found.depth, found.bracketed) == ("3 steps", 8, True)
    assert [(jump.depth, jump.low, jump.high) for jump in found.jumps] == [
        (8, 8, 8), (32, 32, 32), (128, 128, 128)
    ]  # fmt: skip
    assert [jump.size.value for jump in found.jumps] == pytest.approx(
        [8.75] * 3, abs=0.5
    )  # the mean of a rise
    assert found.jumps[0].ratio.low < 3 < found.jumps[0].ratio.high
    assert "in 3 jumps: at 8 [8, 8] +" in found.sentence
    assert [(g.depth, g.following) for g in found.gains if g.corrected < 0.05] == [
        (4, 8), (16, 32), (64, 128)
    ]  # fmt: skip


def test_scores_that_never_vary_are_flat():
    assert find([0, 0, 0, 0], noise=0.0).shape == "flat"


def test_a_clean_step_without_noise_is_found():
    found = find([0, 0, 9, 9, 9], noise=0.0)
    assert (found.shape, found.level, found.interval) == ("step", 2, (2, 2))


def test_a_peak_is_neither_flat_nor_a_step():
    found = find([5, 15, 25, 25, 15, 5])
    assert (found.shape, found.level, found.fits) == ("irregular", None, False)


def test_a_step_that_leaves_much_unexplained_says_so():
    found = find([2, 2, 20, 26, 17, 17], noise=0.5)
    assert found.level == 2 and not found.fits
    assert find([0, 0, 0, 8, 8, 8]).fits


def test_best_fit_is_numpys_least_squares():
    scores = cells([3, 1, 4, 1, 5], seeds=3)
    means = np.array([cell.mean() for cell in scores])
    families = Families(DOUBLINGS[:5], np.full(5, 3.0))
    fit = families.best("linear", means)
    slope, level = np.polyfit(np.repeat(DOUBLINGS[:5], 3), np.concatenate(scores), 1)
    assert fit.amplitude == pytest.approx(slope)
    assert fit.fitted == pytest.approx(level + slope * DOUBLINGS[:5])
    step = families.best("step", means)
    left = [sum(3 * np.var(part) * len(part) for part in np.split(means, [at])) for at in range(1, 5)]
    assert step.member == int(np.argmin(left))
    assert step.explained == pytest.approx(3 * 5 * np.var(means) - min(left))


@given(st.floats(0.5, 20), st.floats(-100, 100))
def test_shape_does_not_depend_on_the_unit(scale, shift):
    rng = np.random.default_rng(5)
    given_cells = cells([0, 0, 4, 4], seeds=3)
    one = find_step(DOUBLINGS[:4], given_cells, rng)
    moved = [cell * scale + shift for cell in given_cells]
    other = find_step(DOUBLINGS[:4], moved, np.random.default_rng(5))
    assert (one.shape, one.level) == (other.shape, other.level)


def test_flat_scores_seldom_look_like_a_step():
    rng = np.random.default_rng(0)
    shapes = [find_step(DOUBLINGS, cells([10] * 6, 3.0, 3, seed), rng).shape for seed in range(100)]
    assert shapes.count("flat") >= 88  # 95 expected
    assert shapes.count("step") + shapes.count("sigmoid") <= 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("means", "noise", "wanted", "least", "most"),
    [
        ([10] * 6, 3.0, ("flat", "irregular"), 0.92, 0.98),
        ([10] * 6, 3.0, STEP, 0.0, 0.05),
        ([0, 1, 2, 3, 4, 5], 1.0, STEP, 0.0, 0.06),
        ([0, 0, 0, 2, 2, 2], 1.0, STEP, 0.40, 0.90),
        ([0, 0, 0, 3, 3, 3], 1.0, STEP, 0.90, 1.0),
    ],
)
def test_error_rates_at_five_seeds_are_those_of_the_docs(means, noise, wanted, least, most):
    rng = np.random.default_rng(1)
    draws = [cells(means, noise, 5, seed) for seed in range(300)]
    shapes = [find_step(DOUBLINGS, draw, rng).shape for draw in draws]
    assert least <= sum(shape in wanted for shape in shapes) / len(shapes) <= most


# --- from a stored study -------------------------------------------------------------------
def test_step_in_a_stored_study(results):
    folder = write_study(results, {"depth": [2, 4, 8, 16, 32]}, stepping)
    (found,) = found_in(folder)
    assert (found.depth, found.low, found.high, found.bracketed) == (8, 8, 8, True)
    assert found.words == "critical depth 8 (95 % interval 8 only)"
    assert found.sentence.startswith("Critical depth 8 (95 % interval 8 only, bracketed): fitted")
    assert found_in(folder) == found_in(folder)


def test_step_at_the_end_of_the_levels_is_not_bracketed(results):
    (found,) = found_in(write_study(results, {"depth": [2, 4, 8]}, stepping))
    assert (found.depth, found.bracketed) == (8, False)
    assert "not bracketed" in found.words and "not bracketed" in found.sentence


def test_saturating_scores_have_a_critical_depth_and_a_rise(results):
    (found,) = found_in(write_study(results, {"depth": [2, 4, 8, 16, 32]}, saturating, seeds=5))
    assert (found.depth, found.shape, found.bracketed) == (4, "sigmoid", True)
    assert 1 < found.rise < 4 and "doublings" in found.sentence


def test_flat_study_says_flat(results):
    (found,) = found_in(write_study(results, {"depth": [2, 4, 8, 16]}, flat))
    assert (found.depth, found.words) == (None, "no step: flat")
    assert found.p_value > 0.05


@pytest.mark.parametrize(
    ("depths", "seeds", "reason"),
    [([2, 4, 8, 16], 1, "one seed a level"), ([2, 64], 3, "fewer than 3 levels")],
)
def test_too_little_data_is_not_tested(results, depths, seeds, reason):
    (found,) = found_in(write_study(results, {"depth": depths}, stepping, seeds=seeds))
    assert found.shape == "untested" and reason in found.sentence


def test_levels_in_any_order_and_missing_cells(results):
    outcome = {(16, seed): "failed" for seed in range(3)}
    folder = write_study(results, {"depth": [32, 4, 16, 2, 8]}, stepping, outcome=outcome)
    (found,) = found_in(folder)
    assert found.depths == [2, 4, 8, 16, 32]
    assert found.depth == 8
    assert found.cells[3].note == "3 failed"


def test_a_grid_gives_one_result_for_each_level_of_its_other_axis(results):
    found = found_in(write_study(results, {"width": [16, 32], "depth": [2, 4, 8, 16]}, stepping))
    assert [result.fixed for result in found] == [{"width": 16}, {"width": 32}]
    assert [result.depth for result in found] == [8, 8]


def test_a_part_of_a_grid_without_a_score_is_left_out(results):
    axes = {"width": [16, 32], "depth": [2, 4, 8]}
    outcome = {(32, depth, seed): "planned" for depth in axes["depth"] for seed in range(3)}
    folder = write_study(results, axes, stepping, outcome=outcome)
    assert [result.fixed for result in found_in(folder)] == [{"width": 16}]


def test_a_study_without_depth_is_refused(results):
    folder = write_study(results, {"width": [16, 32]}, flat)
    with pytest.raises(CrlscaleError, match="no depth axis"):
        found_in(folder)
