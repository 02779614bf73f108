"""Losses over the matrix of energies of a batch, whose diagonal holds the matching pairs.

B batch; row i is a state-action pair, column j a goal. Each loss has the squared logsumexp as a
penalty, along the axis over which it compares (rows for binary). `more` [B, k] are the energies of each
row with k goals of its own, which are further negatives of that row and of no other (None for k = 0).
Sources: forward, backward, symmetric InfoNCE: arXiv 2408.11052; binary NCE: arXiv 2206.07568.
"""

import jax
import jax.numpy as jnp


def _info_nce(positive, lse, penalty):
    """Mean of the logsumexp `lse` [B] over the compared pairs minus the matching one [B]."""
    return jnp.mean(lse - positive) + penalty * jnp.mean(lse**2)


def _over_all(logits, lse, more):
    """The logsumexp [B] of each row over its goals in the batch, known as `lse`, and over `more`."""
    if more is None:
        return lse
    return jax.nn.logsumexp(jnp.concatenate([logits, more], axis=1), axis=1)


def _forward(logits, lse, penalty, more):
    return _info_nce(jnp.diagonal(logits), _over_all(logits, lse, more), penalty)


def _backward(logits, lse, penalty, more):
    return _info_nce(jnp.diagonal(logits), jax.nn.logsumexp(logits, axis=0), penalty)


def _symmetric(logits, lse, penalty, more):
    return 0.5 * (_forward(logits, lse, penalty, more) + _backward(logits, lse, penalty, more))


def _binary(logits, lse, penalty, more):
    """Mean over all B x (B + k) pairs of the cross-entropy with labels 1 on the diagonal, else 0."""
    labels = jnp.eye(len(logits))
    cross_entropy = jnp.mean(jax.nn.softplus(logits) - labels * logits)
    if more is not None:
        batch, count = more.shape
        negatives = jnp.mean(jax.nn.softplus(more))
        cross_entropy = (batch * cross_entropy + count * negatives) / (batch + count)
    return cross_entropy + penalty * jnp.mean(_over_all(logits, lse, more) ** 2)


LOSSES = {"forward": _forward, "backward": _backward, "symmetric": _symmetric, "binary": _binary}


def weighted_forward(logits: jax.Array, penalty: jax.Array, weights: jax.Array) -> jax.Array:
    """The forward loss with penalty whose rows count by `weights` [B], which are not renormalised."""
    lse = jax.nn.logsumexp(logits, axis=1)
    return jnp.mean(weights * (lse - jnp.diagonal(logits) + penalty * lse**2))


def _accuracy(logits, positive):
    """Share of rows whose matching pair alone has the largest energy; counting is quicker than argmax."""
    return jnp.mean(jnp.sum(logits >= positive[:, None], axis=1) == 1)


def contrastive_loss(
    name: str, logits: jax.Array, penalty: jax.Array, more: jax.Array | None = None
) -> tuple[jax.Array, dict]:
    """The loss `name` of logits [B, B] and `more` [B, k] -> loss, metrics. These are row-wise and over
    the B x B pairs whatever the loss and k, so that they compare."""
    batch = logits.shape[0]
    positive = jnp.diagonal(logits)
    lse = jax.nn.logsumexp(logits, axis=1)
    loss = LOSSES[name](logits, lse, penalty, more)
    return loss, {
        "critic_loss": loss,
        "categorical_accuracy": _accuracy(logits, positive),
        "logsumexp": jnp.mean(lse),
        "positive_energy": jnp.mean(positive),
        "negative_energy": (jnp.sum(logits) - jnp.sum(positive)) / (batch * (batch - 1)),
    }
