"""How much of the time after a step is spent at a goal, over bins of time: what is known, and its loss.

B batch, H steps of the horizon, O bins, as in hazards.py. Source: arXiv 2609.36238.
"""

import jax
import jax.numpy as jnp
import numpy as np

from crlscale.envs.episode import FAILURE
from crlscale.hits import Hits


def shares(batch: Hits, edges: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Mean closeness [B, O] over the steps of each bin, and whether it is known, bool [B, O].

    After a failure nothing is close; after any other end of the record nothing is known, so a bin is
    that does not end before it."""
    total = jnp.pad(jnp.cumsum(batch.closeness, axis=1), ((0, 0), (1, 0)))
    share = jnp.diff(total[:, edges], axis=1) / jnp.float32(np.diff(edges))[None, :]
    recorded = jnp.asarray(edges[1:])[None, :] <= batch.observed[:, None]
    return share, recorded | (batch.ending == FAILURE)[:, None]


def cross_entropy(logits: jax.Array, batch: Hits, edges: np.ndarray) -> jax.Array:
    """Mean binary cross-entropy of `logits` [B, O] over the bins that are known."""
    share, known = shares(batch, edges)
    entropies = jax.nn.softplus(logits) - share * logits
    return mean_where(entropies, known)


def mean_where(values: jax.Array, where: jax.Array) -> jax.Array:
    """Mean of `values` where `where` is true, 0 if nowhere."""
    return jnp.sum(jnp.where(where, values, 0.0)) / jnp.maximum(jnp.sum(where.astype(jnp.float32)), 1.0)


def time_at_goal(logits: jax.Array, lengths: jax.Array) -> jax.Array:
    """Discounted time [B] at the goal: sum_k sigmoid(o_k) D_k, for `lengths` D [O]."""
    return jnp.sum(jax.nn.sigmoid(logits) * lengths[None, :], axis=1)
