"""Action chunks: H actions decided at once and carried out open loop, for any method.

N envs, H steps of a chunk, A action. To its networks a chunk is one action of H x A numbers, first step
first. An env decides anew where the age of its episode is a multiple of H, so a fresh episode begins
with a fresh chunk. With H = 1 there is nothing to carry: the chunk is None and no program changes.
Source: arXiv 2608.30640.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def begin(envs: int, length: int, action_size: int) -> jax.Array | None:
    """What N envs hold before their first decision: [N, H, A], or None for H = 1."""
    return None if length == 1 else jnp.zeros((envs, length, action_size))


def carry_out(
    chunk: jax.Array | None, age: jax.Array, decide: Callable[[], jax.Array]
) -> tuple[jax.Array, jax.Array | None]:
    """The actions [N, A] of this step and the chunks then held; `age` int32 [N] as in episode.py.

    `decide()` gives new chunks [N, H A] for all envs; it is computed only in steps where one of them
    needs it, which is every H-th where episodes are in step."""
    if chunk is None:
        return decide(), None
    place = age % chunk.shape[1]
    due = (place == 0)[:, None, None]

    def renew(held):
        return jnp.where(due, decide().reshape(held.shape), held)

    chunk = jax.lax.cond(jnp.any(due), renew, lambda held: held, chunk)
    return jnp.take_along_axis(chunk, place[:, None, None], axis=1)[:, 0], chunk
