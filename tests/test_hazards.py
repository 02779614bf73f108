"""Hazards over bins of time: bins, survival, value and likelihood by hand and against enumeration.

By hand: three bins (0, 1], (1, 2], (2, 4] with p0 = 1/4 and hazards 1/2, 1/3, 1/5, so that S = 3/4, 3/8,
1/4, and 1/5 is left at the end.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crlscale.agents import hazards
from crlscale.agents.hazards import Hazards, bin_edges
from crlscale.hits import Hits

EDGES = np.array([0, 1, 2, 4], np.int32)
P0, H = 1 / 4, np.array([1 / 2, 1 / 3, 1 / 5])


def logit(p):
    return jnp.asarray(np.log(p) - np.log1p(-np.asarray(p)), jnp.float32)


def by_hand(rows=1):
    return Hazards(jnp.full(rows, logit(P0)), jnp.tile(logit(H), (rows, 1)))


def records(*rows):
    """Hits of (steps or None, observed), whatever their data."""
    hit = jnp.array([steps is not None for steps, _ in rows])
    steps = jnp.array([1 if steps is None else steps for steps, _ in rows], jnp.int32)
    observed = jnp.array([seen for _, seen in rows], jnp.int32)
    nothing = jnp.zeros((len(rows), 1))
    return Hits(nothing, nothing, nothing, hit, steps, observed, jnp.zeros(len(rows), jnp.int8))


# --- bins --------------------------------------------------------------------------------
@given(horizon=st.integers(1, 3000), data=st.data())
def test_bins_cover_every_step_once(horizon, data):
    bins = data.draw(st.integers(1, horizon))
    edges = bin_edges(horizon, bins)
    lengths = np.diff(edges)
    assert edges[0] == 0 and edges[-1] == horizon and len(edges) == bins + 1 and edges.dtype == np.int32
    assert (lengths >= 1).all() and (np.diff(lengths) >= -1).all(), "they grow, but for rounding"
    if bins == horizon:
        assert (lengths == 1).all()


def test_geometric_bins_by_hand():
    """16^(k/4) - 1 = 0, 1, 3, 7, 15; and 5 bins of 6 steps: 7^(k/5) - 1 is 0.5, 1.2, 2.2, 3.7, 6, where
    the first must have a step each."""
    np.testing.assert_array_equal(bin_edges(15, 4), [0, 1, 3, 7, 15])
    np.testing.assert_array_equal(bin_edges(6, 5), [0, 1, 2, 3, 4, 6])


@pytest.mark.parametrize("discount", [0.5, 0.99, 0.999, 0.999999])
def test_discounted_lengths_are_sums_over_the_steps(discount):
    edges = bin_edges(1000, 20)
    found = hazards.discounted_lengths(edges, jnp.float32(discount))
    steps = np.float64(np.float32(discount)) ** np.arange(1000)
    expected = np.add.reduceat(steps, edges[:-1])
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-30)


# --- survival and value ------------------------------------------------------------------
def test_survival_by_hand():
    np.testing.assert_allclose(
        jnp.exp(hazards.log_survival(by_hand())), [[3 / 4, 3 / 8, 1 / 4]], rtol=1e-6
    )


def test_value_by_hand():
    """Discount 1/2: D = 1, 1/2, 1/4 + 1/8; V = -(3/4 + 3/16 + 3/32)."""
    lengths = hazards.discounted_lengths(EDGES, jnp.float32(0.5))
    np.testing.assert_allclose(lengths, [1, 0.5, 0.375], rtol=1e-6)
    np.testing.assert_allclose(hazards.value(by_hand(), lengths), [-33 / 32], rtol=1e-6)


def test_value_is_the_expected_discounted_time():
    """Bins of one step: E[discount^min(T, H) - 1] / (1 - discount) by enumeration of T."""
    rng = np.random.default_rng(0)
    p0, h, discount = rng.uniform(0, 1, 5), rng.uniform(0, 0.6, (5, 12)), 0.9
    lengths = hazards.discounted_lengths(bin_edges(12, 12), jnp.float32(discount))
    found = hazards.value(Hazards(logit(p0), logit(h)), lengths)
    for row in range(5):
        left, expected = 1 - p0[row], 0.0
        for k in range(12):
            expected += left * h[row, k] * (discount ** (k + 1) - 1) / (1 - discount)
            left *= 1 - h[row, k]
        expected += left * (discount**12 - 1) / (1 - discount)
        assert float(found[row]) == pytest.approx(expected, rel=1e-4)


def test_extreme_logits_stay_finite():
    """And so do their gradients: a thousand bins, logits of +-100."""
    edges = bin_edges(1000, 1000)
    batch = records((None, 1000), (1000, 1000), (0, 1000))
    for size in (100.0, -100.0):
        sure = Hazards(jnp.full(3, size), jnp.full((3, 1000), size))

        def total(found):
            lengths = hazards.discounted_lengths(edges, jnp.float32(0.999))
            likelihood = hazards.negative_log_likelihood(found, edges, batch, False)
            return jnp.sum(hazards.value(found, lengths)) + jnp.sum(likelihood)

        value, gradient = jax.value_and_grad(total)(sure)
        assert all(np.isfinite(x).all() for x in (value, *gradient))


# --- likelihood ---------------------------------------------------------------------------
def test_likelihood_by_hand():
    """A goal that holds; one reached in each bin, the last at both of its steps; records that end after
    0 to 4 steps without it: a bin counts when the record has all of it."""
    left = 1 - P0
    rows = {
        (0, 4): P0,
        (1, 4): left / 2,
        (2, 2): left / 2 / 3,
        (3, 4): left / 2 * (2 / 3) / 5,
        (4, 4): left / 2 * (2 / 3) / 5,
        (None, 0): left,
        (None, 1): left / 2,
        (None, 2): left / 2 * (2 / 3),
        (None, 3): left / 2 * (2 / 3),
        (None, 4): left / 2 * (2 / 3) * (4 / 5),
    }
    found = hazards.negative_log_likelihood(by_hand(len(rows)), EDGES, records(*rows), False)
    np.testing.assert_allclose(np.exp(-np.asarray(found)), list(rows.values()), rtol=1e-5)


def test_the_public_rule_censors_at_the_horizon():
    """Whatever was observed; hits are as before."""
    rows = [(None, 0), (None, 2), (None, 4), (3, 4), (0, 1)]
    found = hazards.negative_log_likelihood(by_hand(5), EDGES, records(*rows), True)
    left = 1 - P0
    end, third = left / 2 * (2 / 3) * (4 / 5), left / 2 * (2 / 3) / 5
    np.testing.assert_allclose(np.exp(-np.asarray(found)), [end, end, end, third, P0], rtol=1e-5)


def test_likelihoods_of_all_that_can_happen_add_up_to_one():
    """Each bin once, and no hit within the horizon."""
    rng = np.random.default_rng(1)
    edges = bin_edges(40, 7)
    rows = [(0, 40), *((int(end), 40) for end in edges[1:]), (None, 40)]
    h = np.tile(rng.uniform(0.01, 0.9, 7), (len(rows), 1))
    found = hazards.negative_log_likelihood(
        Hazards(jnp.full(len(rows), logit(0.3)), logit(h)), edges, records(*rows), False
    )
    assert float(jnp.sum(jnp.exp(-found))) == pytest.approx(1, rel=1e-5)


# --- what maximum likelihood finds ----------------------------------------------------------
def fitted(batch, edges, to_horizon):
    """Survival [K] of one curve for all rows, by Newton's method on the logits: the log likelihood is
    a sum over bins, so its Hessian is diagonal."""
    bins = len(edges) - 1

    def loss(logits):
        rows = len(batch.steps)
        found = Hazards(jnp.full(rows, -30.0), jnp.tile(logits[None, :], (rows, 1)))
        return jnp.sum(hazards.negative_log_likelihood(found, edges, batch, to_horizon))

    @jax.jit
    def step(logits):
        slope = jax.grad(loss)(logits)
        curvature = jax.jvp(jax.grad(loss), (logits,), (jnp.ones(bins),))[1]
        return logits - jnp.clip(slope / jnp.maximum(curvature, 1e-3), -1.0, 1.0)

    logits = jnp.zeros(bins)
    for _ in range(60):
        logits = step(logits)
    return np.cumprod(1 - np.asarray(jax.nn.sigmoid(logits)))


def censored_records(rows=20_000, horizon=20, rate=0.1):
    """Geometric times of chance `rate` a step, records that end after 1 ... 20 steps at random."""
    rng = np.random.default_rng(3)
    steps, observed = rng.geometric(rate, rows), rng.integers(1, horizon + 1, rows)
    hit = steps <= observed
    blank = jnp.zeros((rows, 1))
    numbers = (jnp.asarray(x, jnp.int32) for x in (steps, observed))
    return Hits(blank, blank, blank, jnp.asarray(hit), *numbers, jnp.zeros(rows, jnp.int8))


@pytest.mark.parametrize("bins", [20, 6])
def test_likelihood_finds_the_true_curve_and_the_public_rule_does_not(bins):
    """Survival 0.9^t at the end of each bin: within 0.02 of it where records end at random (0.06 with
    bins of several steps, since a hit counts in a bin that the record has half of, and its absence does
    not). The public rule takes every record that ended for a goal not reached in 20 steps, and puts
    0.40 for 0.12 at the end."""
    edges, batch = bin_edges(20, bins), censored_records()
    true = 0.9 ** edges[1:].astype(float)
    right = fitted(batch, edges, to_horizon=False)
    public = fitted(batch, edges, to_horizon=True)
    short = edges[1:] <= 16  # few records are longer
    assert np.abs(right - true)[short].max() < (0.02 if bins == 20 else 0.06)
    assert (public - true)[edges[1:] >= 8].min() > 0.05 and public[-1] - true[-1] > 0.25
