"""The decisions of an adaptive search: worked cases, and how often simulated ones are right."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from searching import LOW, noise, search, step

from crlscale.search import START_SEEDS, decide

DEPTHS = [2, 4, 8, 16, 32, 64]
SEEDS = 5


def test_first_round_asks_for_ends_and_middle():
    decision = decide(DEPTHS, {}, SEEDS)
    assert decision.ask == tuple((level, seed) for level in (0, 2, 5) for seed in range(START_SEEDS))
    assert decision.outcome is None


def test_middle_is_in_log2_depth():
    """Of 1, 2, 64 and 128 the middle of the ends is 2^3.5: 2 is 2.5 doublings off, 64 too; the
    shallower one is taken. With 3, 4 and 1024 it is 2^5.8, to which 4 is nearer."""
    assert {level for level, _ in decide([1, 2, 64, 128], {}, 3).ask} == {0, 1, 3}
    assert {level for level, _ in decide([3, 4, 1024], {}, 3).ask} == {0, 1, 2}


def test_a_clear_step_takes_no_seed_more_than_it_must():
    """Ends and middle, then one level, then the one beside it: 3 seeds each."""
    scores = {0: [1.0, 2, 3], 2: [1.5, 2, 2.5], 5: [21.0, 22, 23]}
    decision = decide(DEPTHS, scores, SEEDS)
    assert decision.ask == ((3, 0), (3, 1), (3, 2))  # of 16 and 32 the middle of 8 and 64 is as near
    assert (decision.low, decision.high) == (2, 5)
    scores[3] = [20.0, 22, 24]
    decision = decide(DEPTHS, scores, SEEDS)
    assert (decision.outcome, decision.low, decision.high, decision.sure) == ("jump", 2, 3, True)
    names = [(question.name, question.answer) for question in decision.questions]
    assert names == [("ends", "above"), ("side", "below"), ("side", "above"), ("shape", "above")]


def test_contrast_by_hand():
    """Ends 2 and 22, middle 3: pooled variance (2 + 2 + 8) / 6 = 2; middle - (2 + 22) / 2 = -9 with
    standard error sqrt(2 (1 + 1/4 + 1/4) / 3) = 1."""
    scores = {0: [1.0, 2, 3], 2: [2.0, 3, 4], 5: [20.0, 22, 24]}
    side = decide(DEPTHS, scores, SEEDS).questions[1]
    assert side.name == "side" and side.level == 2
    assert side.estimate.value == pytest.approx(-9.0)
    assert (side.estimate.standard_error, side.estimate.freedom) == (pytest.approx(1.0), 6)
    assert side.estimate.high == pytest.approx(-9 + 2.446912)  # t of 6 degrees of freedom


def test_an_open_question_adds_a_seed_to_each_of_its_levels():
    scores = {0: [1.0, 9, 20], 2: [3.0, 10, 19], 5: [4.0, 12, 25]}
    decision = decide(DEPTHS, scores, SEEDS)
    assert decision.ask == ((5, 3), (0, 3)) and decision.questions == ()


def test_no_jump_flat_or_undecided_or_falling():
    flat = {level: [20.0, 20.1, 19.9, 20.0, 20.05] for level in (0, 2, 5)}
    decision = decide(DEPTHS, flat, SEEDS)
    assert (decision.outcome, decision.sure, decision.low) == ("flat", True, None)
    noisy = {level: [0.0, 40.0, 20.0, 10.0, 30.0] for level in (0, 2, 5)}
    decision = decide(DEPTHS, noisy, SEEDS)
    assert (decision.outcome, decision.sure) == ("undecided", False)
    falling = {0: [20.0, 21, 22, 20, 21], 2: [10.0, 11, 12, 10, 11], 5: [1.0, 2, 3, 1, 2]}
    assert decide(DEPTHS, falling, SEEDS).outcome == "falling"


def test_all_seeds_equal():
    equal = {level: [0.0] * SEEDS for level in (0, 2, 5)}
    assert decide(DEPTHS, equal, SEEDS).outcome == "flat"
    decision, runs = search(DEPTHS, SEEDS, lambda level: step(level, 4))
    assert (decision.outcome, decision.low, decision.high) == ("jump", 3, 4)
    assert runs == 5 * START_SEEDS


def test_a_rise_that_falls_again_is_found_below_the_middle():
    curve = [0.0, 20, 20, 18, 9, 0]
    rng = np.random.default_rng(0)
    decision, _ = search(DEPTHS, SEEDS, lambda level: curve[level] + rng.normal(0, 0.5))
    assert (decision.low, decision.high) == (0, 1)


def test_a_slope_is_no_jump():
    rng = np.random.default_rng(1)
    decision, _ = search(DEPTHS, SEEDS, lambda level: 5 + 4 * level + rng.normal(0, 1.0))
    assert decision.outcome == "gradual" and decision.sure
    assert decision.low <= 2.5 <= decision.high


def test_seeds_without_a_score_are_spent():
    scores = {0: [1.0, 2, None, 2, 1], 2: [None] * SEEDS, 5: [20.0, 21, 22]}
    decision = decide(DEPTHS, scores, SEEDS)
    assert all(level != 2 for level, _ in decision.ask)  # nothing more to ask of it
    scores = {0: [None] * SEEDS, 2: [1.0, 2, 3], 5: [20.0, 21, 22, 20, 21]}
    while (decision := decide(DEPTHS, scores, SEEDS)).outcome is None:
        for level, _ in decision.ask:
            scores.setdefault(level, []).append(1.0)
    assert decision.outcome == "undecided"


def test_too_few_levels_or_seeds_is_a_mistake_of_the_caller():
    for depths, seeds in (([4], 3), ([4, 8], 1), ([8, 4], 3), ([4, 4], 3)):
        with pytest.raises(ValueError, match="two rising levels"):
            decide(depths, {}, seeds)


@given(
    levels=st.integers(2, 11),
    seeds=st.integers(2, 6),
    values=st.lists(st.one_of(st.none(), st.floats(0, 50)), min_size=66, max_size=66),
)
def test_any_scores_end_within_the_grid_and_are_asked_once(levels, seeds, values):
    depths = [2**index for index in range(levels)]
    decision, runs = search(depths, seeds, lambda level: values[6 * level])
    assert runs <= levels * seeds
    assert not decision.ask
    if decision.low is not None:
        assert 0 <= decision.low < decision.high < levels
    again, as_many = search(depths, seeds, lambda level: values[6 * level])
    assert (again.outcome, again.low, again.high) == (decision.outcome, decision.low, decision.high)
    assert as_many == runs


@pytest.mark.parametrize("at", range(1, 6))
def test_a_jump_of_five_spreads_is_found_at_every_level(at):
    rng = np.random.default_rng(at)
    draw = noise("normal", 4.0, rng)
    found = [search(DEPTHS, SEEDS, lambda level: draw(step(level, at))) for _ in range(40)]
    held = [d.low is not None and d.low < at <= d.high for d, _ in found]
    assert sum(held) >= 39  # 1.00 of 500 in docs/search.md
    exact = [(d.outcome, d.low, d.high) == ("jump", at - 1, at) for d, _ in found]
    assert sum(exact) >= 36
    assert np.mean([runs for _, runs in found]) < 18  # of 30


def test_nothing_planted_is_seldom_a_jump():
    rng = np.random.default_rng(7)
    draw = noise("normal", 4.0, rng)
    outcomes = [search(DEPTHS, SEEDS, lambda level: draw(LOW))[0].outcome for _ in range(60)]
    assert sum(outcome in ("jump", "rise", "gradual") for outcome in outcomes) <= 6
