"""Evaluation: deterministic policy, every goal cell equally often, until the first termination.

M episodes, T steps, H steps of a chunk, G goal.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from crlscale import chunks
from crlscale.envs.goal_env import GoalEnv


class Outcome(NamedTuple):
    """M episodes: `time_at_goal` int32 [M] steps inside the radius, `first_hit` int32 [M] the first
    such step (1 = the first; 0 = never), `survival` int32 [M] steps to failure, else T."""

    time_at_goal: jax.Array
    first_hit: jax.Array
    survival: jax.Array


def rollout(
    env: GoalEnv,
    policy: Callable[[jax.Array, jax.Array], jax.Array],
    rng: jax.Array,
    episodes: int,
    steps: int,
    chunk_length: int = 1,
    split: Callable[[Any], Any] = lambda episodes: episodes,
) -> Outcome:
    """One episode of T = `steps` for each of M = `episodes`. Consumes `rng`. `policy` maps
    observations [M, S+G] and the age of the episodes, int32 [M], to actions [M, A], or to the next
    H = `chunk_length` of them [M, H A], which are carried out open loop.

    Episode i starts as case i % cases of the task, so M should be a multiple of their number; without
    cases as in training. A failing step is not counted as at the goal. `split` lays the episodes out over
    devices."""
    case = jnp.arange(episodes, dtype=jnp.int32) % (env.spec.goal_cells or episodes)
    start = split(jax.vmap(env.start_case)(jax.random.split(rng, episodes), case))
    zeros = jnp.zeros(episodes, jnp.int32)

    def step(carry, index):
        state, alive, outcome, chunk = carry
        age = jnp.full(episodes, index)
        action, chunk = chunks.carry_out(chunk, age, lambda: policy(state.obs, age))
        state = jax.vmap(env.step)(state, action)
        survival = outcome.survival + alive.astype(jnp.int32)
        alive = alive & (state.done == 0)
        inside = alive & jax.vmap(env.at_goal)(state)
        time_at_goal = outcome.time_at_goal + inside.astype(jnp.int32)
        first = jnp.where((outcome.first_hit == 0) & inside, index + 1, outcome.first_hit)
        state = jax.tree.map(lambda x: x.astype(x.dtype), state)
        return (state, alive, Outcome(time_at_goal, first, survival), chunk), None

    start = jax.tree.map(lambda x: x.astype(x.dtype), start)
    chunk = chunks.begin(episodes, chunk_length, env.spec.action_size)
    carry = (start, jnp.ones(episodes, bool), Outcome(zeros, zeros, zeros), chunk)
    (_, _, outcome, _), _ = jax.lax.scan(step, carry, jnp.arange(steps, dtype=jnp.int32))
    return outcome


# --- on the host: outcomes to measurements ------------------------------------------------
def summarise(outcome: Outcome, cells: int | None, far: np.ndarray | None) -> dict[str, float | None]:
    """Metrics of the goal sets all, far and near: {metric}_{set}, None where it is not defined.

    `outcome` holds numpy arrays [M]; `far` bool [cells] says which cells are far."""
    sets = {"all": np.ones(len(outcome.survival), bool)}
    if cells is not None and far is not None and far.any():
        of_episode = far[np.arange(len(outcome.survival)) % cells]
        sets |= {"far": of_episode, "near": ~of_episode}
    metrics: dict[str, float | None] = {"eval_episodes": len(outcome.survival)}
    for name, mask in sets.items():
        if mask.any():
            metrics |= {f"{key}_{name}": value for key, value in _metrics(outcome, mask, cells).items()}
    return metrics


def per_cell(outcome: Outcome, cells: int) -> list[dict[str, float | None]]:
    """One record for each goal cell, in the order of `TaskSpec.cases`."""
    of_episode = np.arange(len(outcome.survival)) % cells
    records = []
    for cell in range(cells):
        mask = of_episode == cell
        measured = _metrics(outcome, mask, None)
        del measured["coverage"]
        records.append({"goal_cell": cell, "episodes": int(mask.sum()), **measured})
    return records


def _metrics(outcome: Outcome, mask: np.ndarray, cells: int | None) -> dict[str, float | None]:
    hit = outcome.first_hit[mask] > 0
    coverage = None
    if cells is not None:
        cell = np.flatnonzero(mask) % cells
        rate = (
            np.bincount(cell, hit, cells)[np.unique(cell)]
            / np.bincount(cell, minlength=cells)[np.unique(cell)]
        )
        coverage = float(np.mean(rate >= 0.5))
    return {
        "time_at_goal": float(outcome.time_at_goal[mask].mean()),
        "success_rate": float(hit.mean()),
        "first_hit": float(outcome.first_hit[mask][hit].mean()) if hit.any() else None,
        "survival": float(outcome.survival[mask].mean()),
        "coverage": coverage,
    }
