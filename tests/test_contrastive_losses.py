"""Contrastive losses: worked by hand, and against numpy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from crlscale.agents.contrastive_losses import LOSSES, contrastive_loss


def in_numpy(name, logits, penalty):
    """The loss in float64, pair by pair."""
    size = len(logits)
    total = []
    for axis in {"forward": [1], "backward": [0], "symmetric": [0, 1], "binary": []}[name]:
        lse = special.logsumexp(logits, axis=axis)
        total.append(np.mean(lse - np.diag(logits)) + penalty * np.mean(lse**2))
    if name == "binary":
        chance = special.expit(logits)
        entropies = [
            -np.log(chance[i, j] if i == j else 1 - chance[i, j])
            for i in range(size)
            for j in range(size)
        ]
        total.append(np.mean(entropies) + penalty * np.mean(special.logsumexp(logits, axis=1) ** 2))
    return np.mean(total)


@pytest.mark.parametrize("penalty", [0.0, 0.1])
@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_is_that_of_its_definition(name, penalty):
    logits = np.random.default_rng(0).normal(0, 2, (6, 6))
    loss, metrics = contrastive_loss(name, jnp.asarray(logits, jnp.float32), jnp.float32(penalty))
    assert float(loss) == pytest.approx(in_numpy(name, logits, penalty), rel=1e-5)
    assert metrics["critic_loss"] == loss


def test_more_negatives_of_a_row_by_hand():
    """Rows [1, 2 | 0] and [3, 0 | 1], the last one a negative of that row only: logsumexp 2.4076 and
    3.1698. Binary: six pairs, of which the softplus of the last ones are 0.6931 and 1.3133."""
    logits, more = jnp.array([[1.0, 2.0], [3.0, 0.0]]), jnp.array([[0.0], [1.0]])
    lse = np.array([2.4076060, 3.1698460])
    found = {n: contrastive_loss(n, logits, jnp.float32(0.1), more) for n in ("forward", "binary")}
    expected = np.mean(lse - [1, 0]) + 0.1 * np.mean(lse**2)
    assert float(found["forward"][0]) == pytest.approx(expected, rel=1e-6)
    pairs = [1.3132617 - 1, 2.1269280, 3.0485873, 0.6931472, 0.6931472, 1.3132617]
    assert float(found["binary"][0]) == pytest.approx(np.mean(pairs) + 0.1 * np.mean(lse**2), rel=1e-6)
    plain = contrastive_loss("forward", logits, jnp.float32(0.1))[1]
    for loss, metrics in found.values():
        assert metrics["critic_loss"] == loss
        assert all(metrics[key] == plain[key] for key in plain if key != "critic_loss")


def test_more_negatives_in_the_symmetric_loss_are_in_its_forward_half():
    rng = np.random.default_rng(0)
    logits, more = (jnp.asarray(rng.standard_normal((4, n)), jnp.float32) for n in (4, 3))
    loss = {n: float(contrastive_loss(n, logits, jnp.float32(0.1), more)[0]) for n in LOSSES}
    plain = float(contrastive_loss("backward", logits, jnp.float32(0.1))[0])
    assert loss["symmetric"] == pytest.approx((loss["forward"] + plain) / 2, rel=1e-6)


def test_binary_by_hand():
    """trap 13: logits [2, 0], [-1, 1]; -log sigmoid of 2 and 1, -log(1 - sigmoid) of 0 and -1."""
    loss, _ = contrastive_loss("binary", jnp.array([[2.0, 0.0], [-1.0, 1.0]]), jnp.float32(0.0))
    assert float(loss) == pytest.approx((0.1269280 + 0.3132617 + 0.6931472 + 0.3132617) / 4, rel=1e-6)


def test_binary_pulls_pairs_together_and_all_others_apart():
    """trap 13: a public version had no labels, and pulled everything."""
    slope = jax.grad(lambda x: contrastive_loss("binary", x, jnp.float32(0.0))[0])(jnp.zeros((4, 4)))
    np.testing.assert_allclose(slope, (0.5 - np.eye(4)) / 16, rtol=1e-6)


def test_directions_are_transposes():
    logits = jnp.asarray(np.random.default_rng(0).standard_normal((4, 4)), jnp.float32)
    loss = {name: float(contrastive_loss(name, logits, jnp.float32(0.1))[0]) for name in LOSSES}
    turned = float(contrastive_loss("forward", logits.T, jnp.float32(0.1))[0])
    assert loss["backward"] == pytest.approx(turned) and loss["backward"] != loss["forward"]
    assert loss["symmetric"] == pytest.approx((loss["forward"] + loss["backward"]) / 2)


def test_info_nce_by_hand():
    """Rows [1, 2] and [3, 0]; logsumexp 2.3133 and 3.0486; positives 1 and 0."""
    loss, metrics = contrastive_loss("forward", jnp.array([[1.0, 2.0], [3.0, 0.0]]), jnp.float32(0.1))
    lse = np.array([2.3132617, 3.0485873])
    expected = np.mean(lse - [1, 0]) + 0.1 * np.mean(lse**2)
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    assert {k: float(v) for k, v in metrics.items()} == pytest.approx(
        {
            "critic_loss": expected,
            "categorical_accuracy": 0.0,
            "logsumexp": 2.6809245,
            "positive_energy": 0.5,
            "negative_energy": 2.5,
        },
        rel=1e-6,
    )


def test_negatives_are_the_other_goals_of_a_row():
    """Row-wise: adding a constant to one row moves its logsumexp and its positive alike; adding
    it to one column does not cancel."""
    logits = jnp.asarray(np.random.default_rng(0).standard_normal((4, 4)), jnp.float32)
    loss = partial(contrastive_loss, "forward", penalty=jnp.float32(0.0))
    row, column = logits.at[1].add(5.0), logits.at[:, 1].add(5.0)
    np.testing.assert_allclose(loss(row)[0], loss(logits)[0], rtol=1e-5)
    assert abs(float(loss(column)[0] - loss(logits)[0])) > 0.1


def test_accuracy_counts_rows_won_by_their_own_goal():
    """trap 10: three of four rows, never a constant."""
    logits = jnp.eye(4).at[2, 0].set(3.0)
    assert float(contrastive_loss("forward", logits, jnp.float32(0))[1]["categorical_accuracy"]) == 0.75
    assert (
        float(contrastive_loss("forward", jnp.eye(4), jnp.float32(0))[1]["categorical_accuracy"]) == 1.0
    )
    assert (
        float(contrastive_loss("forward", -jnp.eye(4), jnp.float32(0))[1]["categorical_accuracy"])
        == 0.0
    )
    collapsed = contrastive_loss("forward", jnp.full((4, 4), 2.0), jnp.float32(0))[1]
    assert float(collapsed["categorical_accuracy"]) == 0.0, "where all are equal no goal wins"
