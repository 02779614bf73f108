"""Fingerprint of a task's physics: numbers that two installations share if they simulate alike.

The same physics is what moves the same way, whatever the versions and the processor say. No pooling
of runs whose fingerprints differ: crlscale.score.
"""

import jax
import jax.numpy as jnp

from crlscale.envs.goal_env import GoalEnv
from crlscale.envs.spec import TaskSpec

STEPS = 10  # env steps of the trajectory
STRENGTH = 0.2  # of its actions: enough to move, too little for a chaotic fall


def trajectory(env: GoalEnv) -> jax.Array:
    """What a fixed start and fixed actions lead to, float32 [STEPS, 3]: after each step the first
    two numbers of the state and the mean of all of its squares."""
    phases = jnp.arange(env.action_size, dtype=jnp.float32)

    def step(state, index):
        action = STRENGTH * jnp.sin(0.7 * index + phases)
        state = jax.tree.map(lambda x: x.astype(x.dtype), env.step(state, action))
        physical = state.obs[: env.spec.state_size]
        return state, jnp.append(physical[:2], jnp.mean(physical**2))

    start = jax.tree.map(lambda x: x.astype(x.dtype), env.reset(jax.random.PRNGKey(0)))
    return jax.lax.scan(step, start, jnp.arange(STEPS, dtype=jnp.float32))[1]


def fingerprint(spec: TaskSpec, moved: jax.Array) -> dict:
    """Of the task and its `trajectory`, as plain data: backend, sub-step [s], sub-steps of an env step
    (None without an engine), and the trajectory as a list of lists."""
    engine = spec.engine
    return {
        "backend": engine.backend if engine else "jax",
        "time_step": engine.time_step if engine else None,
        "sub_steps": engine.sub_steps if engine else None,
        "trajectory": moved.tolist(),
    }
