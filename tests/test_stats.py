"""The estimates over seeds: against hand-worked numbers, scipy, and simulated populations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats as scipy_stats

from crlscale import stats

scores = arrays(
    float, st.integers(2, 25), elements=st.floats(0, 1000, allow_nan=False).map(lambda x: round(x, 3))
)


def test_iqm_by_hand():
    assert stats.iqm([7.0]) == 7.0
    assert stats.iqm([1.0, 2.0, 9.0]) == 4.0  # below 4 seeds: the mean
    assert stats.iqm([100.0, 2.0, 4.0, 0.0]) == 3.0
    assert stats.iqm([0, 1, 2, 3, 4, 5, 6, 7000]) == 3.5


def test_many_samples_at_once_are_those_one_by_one():
    samples = np.random.default_rng(0).normal(10, 3, (5, 9))
    assert stats.iqm(samples) == pytest.approx([stats.iqm(sample) for sample in samples])
    errors = [stats.standard_error(sample) for sample in samples]
    assert stats.standard_error(samples) == pytest.approx(errors)
    found = stats.estimate(samples[0])
    assert found.high - found.value == pytest.approx(stats.t_quantile(8) * errors[0])


@given(scores)
def test_iqm_is_scipys_trimmed_mean(values):
    assert stats.iqm(values) == pytest.approx(scipy_stats.trim_mean(values, 0.25))


def test_interval_of_three_seeds_is_students():
    found = stats.estimate([10.0, 12.0, 17.0])
    low, high = scipy_stats.t.interval(0.95, 2, loc=13.0, scale=math.sqrt(13.0 / 3))
    assert (found.value, found.seeds) == (13.0, 3)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_standard_error_is_the_larger_of_plain_and_winsorised():
    # 8 seeds, 2 cut at each end; winsorised to 10 10 10 10 20 20 20 20, s_w = sqrt(200 / 7)
    wide_inside = [9.9, 10.0, 10.0, 10.0, 20.0, 20.0, 20.0, 20.1]
    assert stats.standard_error(wide_inside) == pytest.approx(
        math.sqrt(200 / 7) * math.sqrt(8) / 4, rel=1e-2
    )
    long_tail = [0.0, 10.0, 10.0, 10.0, 10.1, 10.1, 10.1, 90.0]
    assert stats.standard_error(long_tail) == pytest.approx(np.std(long_tail, ddof=1) / math.sqrt(8))


@pytest.mark.parametrize(
    ("values", "reason"), [([3.0], "one seed"), ([4.0, 4.0, 4.0], "all seeds equal")]
)
def test_no_interval_says_why(values, reason):
    found = stats.estimate(values)
    assert (found.low, found.high, found.no_interval) == (None, None, reason)
    assert stats.probability_above_zero(found) is None


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [[1.0, 2.0]]])
def test_estimate_refuses_what_is_no_list_of_scores(values):
    with pytest.raises(ValueError, match="finite numbers"):
        stats.estimate(values)


@given(scores, st.floats(-50, 50).map(lambda x: round(x, 2)), st.sampled_from([0.5, 2.0, 8.0]))
def test_estimate_moves_and_scales_with_the_scores(values, shift, scale):
    one, other = stats.estimate(values), stats.estimate(values * scale + shift)
    assert other.value == pytest.approx(one.value * scale + shift, abs=1e-6)
    if one.low is not None and other.low is not None:
        width = one.high - one.low
        assert other.high - other.low == pytest.approx(width * scale, rel=1e-4, abs=1e-5)
        assert one.low <= one.value <= one.high


def test_interval_is_cut_at_the_bounds():
    found = stats.estimate([0.5, 1.0, 6.0], bounds=(0, 7))
    assert (found.low, found.high) == (0, 7)


def test_coverage_note_names_the_seeds_it_was_simulated_for():
    assert "at 3 seeds: normal 95 %" in stats.coverage_note(3)
    assert "at 8 seeds" in stats.coverage_note(9)
    assert stats.coverage_note(1) == "no interval with one seed"


def test_difference_of_two_cells_is_welchs():
    rng = np.random.default_rng(0)
    one, other = rng.normal(5, 1, 3), rng.normal(0, 4, 3)
    found = stats.weighted_sum([1, -1], [one, other])
    welch = scipy_stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((welch.low, welch.high))
    one_sided = scipy_stats.ttest_ind(one, other, equal_var=False, alternative="greater").pvalue
    assert stats.probability_above_zero(found) == pytest.approx(1 - one_sided)


def test_weighted_sum_leaves_cells_without_weight_out():
    found = stats.weighted_sum([0.5, 0.0, 0.5], [[1.0, 3.0], [99.0], [5.0, 5.0]])
    assert (found.value, found.seeds) == (3.5, 2)
    assert found.freedom == pytest.approx(1.0)
    assert stats.weighted_sum([1, 1], [[1.0], [2.0, 3.0]]).no_interval == "a cell with one seed"
    assert stats.weighted_sum([1, 1], [[1.0, 1.0], [2.0, 2.0]]).no_interval == "all seeds equal"


def test_resampled_means_have_the_unbiased_spread():
    rng = np.random.default_rng(0)
    cells = [np.array([1.0, 4.0, 7.0]), np.array([5.0])]
    means = stats.resample_means(cells, 40_000, rng)
    assert means.shape == (40_000, 2)
    assert means[:, 0].mean() == pytest.approx(4.0, abs=0.05)
    assert means[:, 0].std() == pytest.approx(3.0 / math.sqrt(3), rel=0.02)
    assert (means[:, 1] == 5.0).all()


POPULATIONS = (
    lambda rng, size: rng.normal(20, 3, size),
    lambda rng, size: rng.exponential(10, size),
    lambda rng, size: np.where(rng.random(size) < 0.2, 0, rng.normal(20, 4, size)),
    lambda rng, size: np.where(rng.random(size) < 0.4, 0, rng.normal(20, 4, size)),
    lambda rng, size: rng.normal(np.where(rng.random(size) < 0.5, 5, 25), 2.0),
)


def coverage(population, seeds: int, draws: int) -> float:
    """Share of the intervals of `draws` samples that hold the population's IQM."""
    rng = np.random.default_rng([seeds, draws])
    truth = stats.iqm(population(rng, 2_000_000))
    samples = population(rng, (draws, seeds))
    half = stats.t_quantile(seeds - 1) * stats.standard_error(samples)
    return float(np.mean(np.abs(stats.iqm(samples) - truth) <= half))


def test_three_seeds_of_a_normal_population_are_covered():
    assert coverage(POPULATIONS[0], 3, 2000) == pytest.approx(0.95, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", stats.SIMULATED_COVERAGE)
def test_the_coverage_that_is_reported_is_the_simulated_one(seeds):
    for population, stated in zip(POPULATIONS, stats.SIMULATED_COVERAGE[seeds], strict=True):
        assert coverage(population, seeds, 10_000) == pytest.approx(stated, abs=0.0125)


def test_small_p_values_are_not_called_zero():
    assert [stats.relation(p) for p in (0.0, 0.00099, 0.001, 0.05)] == [
        "< 0.001",
        "< 0.001",
        "= 0.001",
        "= 0.050",
    ]
