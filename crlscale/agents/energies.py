"""Energies between embeddings, higher = likelier: matrices of all pairs, and of equal rows.

B batch, R representation. Row i of phi [B, R] is a state-action pair, row j of psi [B, R] a goal.
Sources: l2, dot, cosine, squared l2: arXiv 2206.07568, 2408.11052; mrn: arXiv 2208.08133.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from crlscale.matmul import inner_products

DISTANCE_EPSILON = 1e-6  # inside the root: the gradient stays finite where embeddings coincide
NORM_EPSILON = 1e-12  # inside the root of a norm that divides


class Energy(NamedTuple):
    """`matrix`: phi [B, R], psi [B, R] -> [B, B]; `paired`: the same of equal rows -> [B]."""

    matrix: Callable[[jax.Array, jax.Array], jax.Array]
    paired: Callable[[jax.Array, jax.Array], jax.Array]


def squared_distances(phi: jax.Array, psi: jax.Array) -> jax.Array:
    """[B, B] by the Gram identity: B x B memory, not B x B x R.

    The identity subtracts large numbers: embeddings of deep networks lie far from the origin (200
    at depth 1024) and close together, so both are shifted by a constant, and the product is never
    rounded to the TF32 of GPUs."""
    shift = jax.lax.stop_gradient(jnp.mean(psi, axis=0, keepdims=True))
    phi, psi = phi - shift, psi - shift
    product = inner_products(-2.0 * phi, psi)  # scaled before, because [B, B] is the larger array
    squared = jnp.sum(phi**2, -1)[:, None] + jnp.sum(psi**2, -1)[None, :] + product
    return jnp.maximum(squared, 0.0)


def _distance(squared):
    return jnp.sqrt(squared + DISTANCE_EPSILON)


def _unit(x):
    """Each row over its own norm."""
    return x / jnp.sqrt(jnp.sum(x**2, axis=-1, keepdims=True) + NORM_EPSILON)


def _mrn_matrix(phi, psi):
    """Minus max_i relu(a_i - a'_i) + ||b - b'||, where a and b are the halves of an embedding. The
    first term is not symmetric, so it takes B x B x R/2 numbers (which XLA may fuse away)."""
    half = phi.shape[-1] // 2
    ahead = jnp.max(jax.nn.relu(phi[:, None, :half] - psi[None, :, :half]), axis=-1)
    return -ahead - _distance(squared_distances(phi[:, half:], psi[:, half:]))


def _mrn_paired(phi, psi):
    half = phi.shape[-1] // 2
    ahead = jnp.max(jax.nn.relu(phi[:, :half] - psi[:, :half]), axis=-1)
    return -ahead - _distance(jnp.sum((phi[:, half:] - psi[:, half:]) ** 2, axis=-1))


ENERGIES: dict[str, Energy] = {
    "l2": Energy(
        lambda phi, psi: -_distance(squared_distances(phi, psi)),
        lambda phi, psi: -_distance(jnp.sum((phi - psi) ** 2, axis=-1)),
    ),
    "squared_l2": Energy(
        lambda phi, psi: -squared_distances(phi, psi),
        lambda phi, psi: -jnp.sum((phi - psi) ** 2, axis=-1),
    ),
    "dot": Energy(inner_products, lambda phi, psi: jnp.sum(phi * psi, axis=-1)),
    "cosine": Energy(
        lambda phi, psi: inner_products(_unit(phi), _unit(psi)),
        lambda phi, psi: jnp.sum(_unit(phi) * _unit(psi), axis=-1),
    ),
    "mrn": Energy(_mrn_matrix, _mrn_paired),
}
