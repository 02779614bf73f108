"""Ratios, probabilities of improvement and corrected p-values: by hand, against scipy, by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from crlscale import stats


def test_p_value_and_limit_are_those_of_the_t_test():
    rng = np.random.default_rng(0)
    one, other = rng.normal(5, 1, 3), rng.normal(4, 2, 3)
    found = stats.weighted_sum([1, -1], [one, other])
    welch = scipy_stats.ttest_ind(one, other, equal_var=False)
    assert stats.p_value(found) == pytest.approx(welch.pvalue)
    assert stats.upper_limit(found, 0.975) == pytest.approx(found.high)
    assert stats.p_value(stats.estimate([3.0])) is None


def test_holm_by_hand():
    assert stats.holm([0.01, 0.04, None, 0.03]) == pytest.approx([0.03, 0.06, None, 0.06])
    assert stats.holm([0.9, 0.8]) == [1.0, 1.0]
    assert stats.holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_never_lowers(values):
    corrected = stats.holm(values)
    assert all(new >= old for new, old in zip(corrected, values, strict=True))
    assert max(corrected) <= 1
    ranked = [corrected[i] for i in np.argsort(values, kind="stable")]
    assert ranked == sorted(ranked)


def test_ratio_is_fiellers():
    top, bottom = [10.0, 12.0, 14.0], [4.0, 5.0, 6.0]
    found = stats.ratio([1, 0], [0, 1], [top, bottom])
    assert found.value == 12 / 5
    # the ends r solve (12 - 5 r)^2 = t^2 (4/3 + r^2 / 3), by hand with t(2) = 4.3027
    square = 4.302652729911275**2
    for end in (found.low, found.high):
        assert (12 - 5 * end) ** 2 == pytest.approx(square * (4 / 3 + end**2 / 3))
    assert found.low < 2.4 < found.high


def test_ratio_without_an_interval_says_why():
    assert stats.ratio([1, 0], [0, 1], [[1.0, 2.0], [-1.0, 1.0]]).reason == "the lower one is zero"
    assert stats.ratio([1, 0], [0, 1], [[1.0, 2.0], [-1.0, 1.1]]).reason == "the lower one may be zero"
    assert stats.ratio([1, 0], [0, 1], [[1.0, 2.0], [3.0]]).reason == "a cell with one seed"
    assert stats.ratio([1, 0], [0, 1], [[2.0, 2.0], [1.0, 1.0]]).reason == "all seeds equal"


def test_probability_of_improvement_is_mann_whitneys():
    one, other = [1.0, 5.0, 6.0], [2.0, 3.0, 5.0, 7.0]
    found = stats.probability_of_improvement(one, other)
    u = scipy_stats.mannwhitneyu(one, other).statistic
    assert found.value == pytest.approx(u / 12)
    assert 0 <= found.low < found.value < found.high <= 1


def test_probability_of_improvement_is_unsure_with_few_separate_seeds():
    found = stats.probability_of_improvement([4.0, 5.0, 6.0], [1.0, 2.0, 3.0])
    assert (found.value, found.high) == (1.0, 1.0)
    assert 0.2 < found.low < 0.5  # a rank test of three against three never reaches 5 %
    more = stats.probability_of_improvement(np.arange(10.0) + 20, np.arange(10.0))
    assert found.low < 0.7 < more.low
    assert stats.probability_of_improvement([1.0], [0.0, 2.0]).no_interval == "one seed"


@given(
    st.lists(st.integers(0, 9), min_size=2, max_size=6),
    st.lists(st.integers(0, 9), min_size=2, max_size=6),
)
def test_probability_of_improvement_mirrors(one, other):
    here, there = (stats.probability_of_improvement(*pair) for pair in ((one, other), (other, one)))
    assert here.value == pytest.approx(1 - there.value)
    assert here.low == pytest.approx(1 - there.high, abs=1e-3)
