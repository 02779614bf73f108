"""When a goal is reached, as hazards over bins of time: survival, value and likelihood.

B batch, K bins. Bin k holds the steps b_k + 1 ... b_(k+1). p0 = sigmoid(logit_0) is the chance that the
goal holds already, h_k = sigmoid(logit_k) that it is reached in bin k if it was not before.
S_k = (1 - p0) prod_(j<k) (1 - h_j) is the chance that it takes more than b_k steps.
Source: arXiv 2605.31273.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from crlscale.hits import Hits


class Hazards(NamedTuple):
    """Logits of p0 [B] and of the hazards [B, K]."""

    already: jax.Array
    later: jax.Array


def bin_edges(horizon: int, bins: int) -> np.ndarray:
    """b_0 = 0 < b_1 < ... < b_K = horizon, int32 [K + 1], growing geometrically where bins of one step
    would not do: as many bins as steps are one step each."""
    grown = np.floor((horizon + 1.0) ** (np.arange(bins + 1) / bins) - 0.5)
    return np.maximum(grown, np.arange(bins + 1)).astype(np.int32)


def discounted_lengths(edges: np.ndarray, discount: jax.Array) -> jax.Array:
    """D_k [K]: the sum of discount^t over the steps t = b_k ... b_(k+1) - 1."""
    log_discount = jnp.log(discount)
    start, length = jnp.float32(edges[:-1]), jnp.float32(np.diff(edges))
    return jnp.exp(start * log_discount) * jnp.expm1(length * log_discount) / jnp.expm1(log_discount)


def log_survival(hazards: Hazards) -> jax.Array:
    """log S_k [B, K]."""
    stay = jax.nn.log_sigmoid(-hazards.later)
    return jax.nn.log_sigmoid(-hazards.already)[:, None] + jnp.cumsum(stay, axis=1) - stay


def value(hazards: Hazards, lengths: jax.Array) -> jax.Array:
    """V [B] = - sum_k D_k S_k for `lengths` D [K]: minus the discounted steps to the goal, those beyond
    the horizon not counted. With bins of one step it is E[discount^T - 1] / (1 - discount) for the
    time T to the goal, or the horizon if that is sooner."""
    return -jnp.sum(jnp.exp(log_survival(hazards)) * lengths[None, :], axis=1)


def negative_log_likelihood(
    hazards: Hazards, edges: np.ndarray, batch: Hits, to_horizon: bool
) -> jax.Array:
    """Minus the log likelihood [B] of what the record says.

    A hit counts the bins before its own as survived. Without a hit the bins that end within the
    record were survived, or, `to_horizon`, all of them, as the public code has it."""
    starts, ends = jnp.asarray(edges[:-1])[None, :], jnp.asarray(edges[1:])[None, :]
    hit, steps = batch.hit[:, None], batch.steps[:, None]
    known = jnp.full_like(steps, int(edges[-1])) if to_horizon else batch.observed[:, None]
    survived = ends <= jnp.where(hit, steps - 1, known)
    reached = hit & (starts < steps) & (steps <= ends)
    stay, leave = jax.nn.log_sigmoid(-hazards.later), jax.nn.log_sigmoid(hazards.later)
    later = jnp.sum(jnp.where(survived, stay, 0.0) + jnp.where(reached, leave, 0.0), axis=1)
    later = later + jax.nn.log_sigmoid(-hazards.already)
    already = batch.hit & (batch.steps == 0)
    return -jnp.where(already, jax.nn.log_sigmoid(hazards.already), later)
